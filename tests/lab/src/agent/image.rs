//! Image names and the programs that run in place of images.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Image;

/// The parts of an image's name that the agent uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name<'a> {
    /// The last path segment, without tag and digest.
    pub(crate) program: &'a str,
    /// The tag; `latest` if there is none.
    pub(crate) tag: &'a str,
}

impl<'a> Name<'a> {
    /// Parses `registry:5000/team/demo:v1@sha256:...`.
    pub(crate) fn parse(image: &'a str) -> Self {
        let image = image.split_once('@').map_or(image, |(name, _)| name);
        let last = image.rsplit_once('/').map_or(image, |(_, last)| last);
        let (program, tag) = last.split_once(':').unwrap_or((last, "latest"));
        Self { program, tag }
    }
}

/// The programs that run in place of images.
#[derive(Debug, Clone, Default)]
pub(crate) struct Images(BTreeMap<String, PathBuf>);

impl Images {
    /// Returns the program for `image`, or `None`: the image can't be pulled.
    pub(crate) fn program(&self, image: &str) -> Option<&Path> {
        self.0.get(Name::parse(image).program).map(PathBuf::as_path)
    }
}

impl FromIterator<Image> for Images {
    fn from_iter<T: IntoIterator<Item = Image>>(images: T) -> Self {
        Self(images.into_iter().map(|image| (image.name, image.program)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_into_last_segment_and_tag() {
        for (image, program, tag) in [
            ("demo:v1", "demo", "v1"),
            ("demo", "demo", "latest"),
            ("registry.example:5000/team/demo:v2", "demo", "v2"),
            ("registry.example:5000/team/demo", "demo", "latest"),
            ("demo:v3@sha256:0123", "demo", "v3"),
            ("team/demo@sha256:0123", "demo", "latest"),
        ] {
            assert_eq!(Name::parse(image), Name { program, tag }, "{image}");
        }
    }

    #[test]
    fn only_configured_images_have_a_program() {
        let images: Images = ["demo=/bin/demo".parse::<Image>().unwrap()].into_iter().collect();
        assert_eq!(images.program("x/demo:v1"), Some(Path::new("/bin/demo")));
        assert_eq!(images.program("demo2:v1"), None);
    }

    #[test]
    fn an_image_argument_needs_a_name_and_an_absolute_program() {
        for bad in ["demo", "=/bin/demo", "demo=bin/demo", "demo="] {
            assert!(bad.parse::<Image>().is_err(), "{bad}");
        }
    }
}
