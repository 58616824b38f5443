use std::time::Duration;

use super::*;

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("lab-process-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn launch(&self, script: &str) -> Launch {
        Launch {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: [
                ("PATH".to_owned(), std::env::var("PATH").unwrap()),
                ("COLOR".to_owned(), "red".to_owned()),
            ]
            .into(),
            work_dir: "/".into(),
            script: None,
            log: self.0.join("out.log"),
            record: self.0.join("uid.app"),
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.0.join("out.log")).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn exit_codes_are_returned_and_output_is_appended() {
    let dir = Dir::new("codes");
    for (script, code) in [("echo $COLOR; exit 7", 7), ("kill -9 $$", 137), ("echo done", 0)] {
        let mut process = Process::start(&dir.launch(script), &Group::default()).unwrap();
        assert_eq!(process.ended().await, code, "{script}");
    }
    assert_eq!(dir.log(), "red\ndone\n");
    assert!(!dir.0.join("uid.app").exists(), "no process runs, so none is recorded");
}

#[tokio::test]
async fn child_processes_end_with_the_main_process() {
    let dir = Dir::new("left");
    let mut process = Process::start(&dir.launch("sleep 60 & echo $!"), &Group::default()).unwrap();
    assert_eq!(process.ended().await, 0);
    drop(process);
    let left: i32 = dir.log().trim().parse().unwrap();
    // init reaps an orphan; without an init it remains as a zombie.
    let running = || {
        let stat = fs::read_to_string(format!("/proc/{left}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    };
    for _ in 0..100 {
        if !running() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{left} still runs");
}

#[tokio::test]
async fn a_signal_reaches_the_group_only_while_it_runs() {
    let dir = Dir::new("signal");
    let group = Group::default();
    assert!(!group.signal(Signal::SIGKILL));
    let mut process = Process::start(&dir.launch("sleep 60"), &group).unwrap();
    assert!(group.signal(Signal::SIGKILL));
    assert_eq!(process.ended().await, 137);
    drop(process);
    assert!(!group.signal(Signal::SIGKILL));
}

#[tokio::test]
async fn a_later_agent_ends_only_the_recorded_processes() {
    let dir = Dir::new("recorded");
    let mut process = Process::start(&dir.launch("sleep 60"), &Group::default()).unwrap();
    // A record of an earlier process with the pid of this test.
    fs::write(dir.0.join("uid.old"), format!("{{\"pid\":{},\"started\":1}}", std::process::id())).unwrap();
    fs::remove_file(dir.0.join("out.log")).unwrap();
    assert_eq!(end_recorded(&dir.0, "uid."), 1);
    assert_eq!(process.ended().await, 137);
    assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 0);
}
