//! IP addresses of pods.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::str::FromStr;

use thiserror::Error;

/// Number of addresses at the start of the range that are reserved: the network address and the
/// machine's.
const RESERVED: u32 = 10;

/// A range of IPv4 addresses: `10.244.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    base: u32,
    bits: u32,
}

/// The error for a range that is not `ADDRESS/BITS` with 8 to 26 bits and a zero host part.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("expected a range such as 10.244.0.0/16, from /8 to /26")]
pub struct BadPrefix;

impl FromStr for Prefix {
    type Err = BadPrefix;

    fn from_str(text: &str) -> Result<Self, BadPrefix> {
        let (address, bits) = text.split_once('/').ok_or(BadPrefix)?;
        let base = u32::from(address.parse::<Ipv4Addr>().map_err(|_| BadPrefix)?);
        let bits: u32 = bits.parse().map_err(|_| BadPrefix)?;
        let prefix = Self { base, bits };
        if !(8..=26).contains(&bits) || base % prefix.size() != 0 {
            return Err(BadPrefix);
        }
        Ok(prefix)
    }
}

impl Prefix {
    fn size(self) -> u32 {
        1 << (32 - self.bits)
    }
}

/// Assigns addresses in rotation, so that a released address is reused as late as possible: an
/// `EndpointSlice` can still name a pod shortly after the pod ended.
#[derive(Debug)]
pub(crate) struct Addresses {
    prefix: Prefix,
    next: u32,
    used: BTreeSet<u32>,
}

impl Addresses {
    /// Starts at `cursor`, the value of [`Self::cursor`] when the previous agent ended (0 at
    /// first).
    pub(crate) fn new(prefix: Prefix, cursor: u32) -> Self {
        Self { prefix, next: cursor, used: BTreeSet::new() }
    }

    /// Returns the next free address, or `None` if all are in use.
    pub(crate) fn take(&mut self) -> Option<Ipv4Addr> {
        // The last address of the range is its broadcast address.
        let span = self.prefix.size() - RESERVED - 1;
        for _ in 0..span {
            let offset = RESERVED + self.next % span;
            self.next = (self.next + 1) % span;
            if self.used.insert(offset) {
                return Some(Ipv4Addr::from(self.prefix.base + offset));
            }
        }
        None
    }

    /// Claims a specific address for a pod that already has it. Returns false if the address is in
    /// use or outside the range.
    pub(crate) fn claim(&mut self, address: Ipv4Addr) -> bool {
        let offset = u32::from(address).wrapping_sub(self.prefix.base);
        (RESERVED..self.prefix.size() - 1).contains(&offset) && self.used.insert(offset)
    }

    /// Releases an address; it is assigned again after all others.
    pub(crate) fn release(&mut self, address: Ipv4Addr) {
        self.used.remove(&u32::from(address).wrapping_sub(self.prefix.base));
    }

    /// Returns the position of the rotation.
    pub(crate) fn cursor(&self) -> u32 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(cidr: &str) -> Addresses {
        Addresses::new(cidr.parse().unwrap(), 0)
    }

    #[test]
    fn addresses_are_assigned_in_rotation() {
        let mut addresses = addresses("10.244.0.0/16");
        let first = addresses.take().unwrap();
        assert_eq!(first, Ipv4Addr::new(10, 244, 0, 10));
        addresses.release(first);
        assert_eq!(
            addresses.take(),
            Some(Ipv4Addr::new(10, 244, 0, 11)),
            "the address released last is not reused yet"
        );
    }

    #[test]
    fn a_released_address_is_reused_only_after_all_others() {
        let mut addresses = addresses("10.244.0.0/26");
        let first = addresses.take().unwrap();
        addresses.release(first);
        let mut others = 0;
        while addresses.take() != Some(first) {
            others += 1;
        }
        assert_eq!(others, 64 - 11 - 1);
        assert_eq!(addresses.take(), None, "all are taken");
    }

    #[test]
    fn an_address_in_use_is_never_assigned_twice() {
        let mut addresses = addresses("10.244.0.0/26");
        assert!(addresses.claim(Ipv4Addr::new(10, 244, 0, 12)));
        assert!(!addresses.claim(Ipv4Addr::new(10, 244, 0, 12)));
        let given: BTreeSet<_> = std::iter::from_fn(|| addresses.take()).collect();
        assert_eq!(given.len(), 64 - 11 - 1);
        assert!(!given.contains(&Ipv4Addr::new(10, 244, 0, 12)));
    }

    #[test]
    fn addresses_out_of_range_are_not_claimed() {
        let mut addresses = addresses("10.244.0.0/24");
        for last in [0, 1, 9, 255] {
            assert!(!addresses.claim(Ipv4Addr::new(10, 244, 0, last)));
        }
        assert!(!addresses.claim(Ipv4Addr::new(10, 244, 1, 20)));
        assert!(!addresses.claim(Ipv4Addr::new(10, 243, 255, 20)));
    }

    #[test]
    fn the_rotation_continues_after_the_cursor_of_an_earlier_agent() {
        let mut first = addresses("10.244.0.0/16");
        first.take();
        let mut second = Addresses::new("10.244.0.0/16".parse().unwrap(), first.cursor());
        assert_eq!(second.take(), Some(Ipv4Addr::new(10, 244, 0, 11)));
    }

    #[test]
    fn only_whole_ranges_are_accepted() {
        for bad in ["10.244.0.0", "10.244.0.1/16", "10.244.0.0/27", "10.244.0.0/7", "fd00::/64", "10.244/16"]
        {
            assert_eq!(bad.parse::<Prefix>(), Err(BadPrefix), "{bad}");
        }
    }
}
