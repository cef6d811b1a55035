//! What passes for certificates of authorities.

use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::outputs::{Authorities, LARGEST_AUTHORITIES, Unusable};

fn made() -> CertifiedKey<rcgen::KeyPair> {
    generate_simple_self_signed(vec!["authority.example".to_owned()]).unwrap()
}

/// Another certificate each time.
pub(super) fn certificate() -> String {
    made().cert.pem()
}

#[test]
fn certificates_pass_and_nothing_else_does() {
    let (one, two) = (certificate(), certificate());
    let plain = one.replace("\r\n", "\n");
    assert_eq!(Authorities::read(one.as_bytes()).unwrap().pem(), plain);
    let commented = format!("# Production\n{one}\nand another\n{two}");
    let both = Authorities::read(commented.as_bytes()).unwrap();
    assert_eq!(both.pem(), format!("{plain}{}", two.replace("\r\n", "\n")));
    let read = |text: String| Authorities::read(text.as_bytes()).unwrap_err();
    assert_eq!(read(String::new()), Unusable::None);
    assert_eq!(read("no certificate".to_owned()), Unusable::None);
    let key = made().signing_key.serialize_pem();
    assert_eq!(read(format!("{one}{key}")), Unusable::Other);
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(read(broken.to_owned()), Unusable::Malformed);
    assert_eq!(read(one.replace("-----END", "----")), Unusable::None);
    assert_eq!(read("#".repeat(LARGEST_AUTHORITIES + 1)), Unusable::TooLarge);
}
