//! Known answers.

use super::super::id::{cipher, decrypt, encrypt};
use super::super::keyring::hkdf;
use super::*;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|octet| u8::from_str_radix(&text[2 * octet..2 * octet + 2], 16).unwrap())
        .collect()
}

#[test]
fn the_cipher_gives_the_vectors_of_rfc_8452() {
    // Appendix C.2, AEAD_AES_256_GCM_SIV: additional data, plaintext, result.
    let vectors = [
        ("", "", "07f5f4169bbf55a8400cd47ea6fd400f"),
        (
            "",
            "0100000000000000",
            "c2ef328e5c71c83b843122130f7364b761e0b97427e3df28",
        ),
        (
            "",
            "01000000000000000000000000000000",
            "85a01b63025ba19b7fd3ddfc033b3e76c9eac6fa700942702e90862383c6c366",
        ),
        (
            "01",
            "0200000000000000",
            "1de22967237a813291213f267e3b452f02d01ae33e4ec854",
        ),
        (
            "01",
            "0200000000000000000000000000000003000000000000000000000000000000",
            "07dad364bfc2b9da89116d7bef6daaaf6f255510aa654f920ac81b94e8bad365\
             aea1bad12702e1965604374aab96dbbc",
        ),
    ];
    let mut key = [0; 32];
    key[0] = 1;
    let key = cipher(&key).unwrap();
    let mut nonce = [0; 12];
    nonce[0] = 3;
    for (bound, plaintext, result) in vectors {
        let (bound, plaintext) = (hex(bound), hex(plaintext));
        let mut sealed = encrypt(&key, nonce, &bound, plaintext.clone()).unwrap();
        assert_eq!(sealed, hex(result));
        assert_eq!(
            decrypt(&key, nonce, &bound, &mut sealed).unwrap(),
            plaintext
        );
    }
}

#[test]
fn keys_are_derived_as_rfc_5869_says() {
    // Appendix A.1 and A.3.
    let input = [0x0b; 22];
    let mut output = [0; 42];
    let (salt, info) = (
        hex("000102030405060708090a0b0c"),
        hex("f0f1f2f3f4f5f6f7f8f9"),
    );
    hkdf(&salt, &input, &info, &mut output).unwrap();
    let expected =
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
    assert_eq!(output.as_slice(), hex(expected));
    hkdf(b"", &input, b"", &mut output).unwrap();
    let expected =
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8";
    assert_eq!(output.as_slice(), hex(expected));
}

/// Computed by another implementation, in Python with OpenSSL, from the description of the form alone.
#[test]
fn the_form_of_a_sealed_id_does_not_change() {
    let keyring = keyring(&[FIRST]);
    assert_eq!(keyring.key_ids()[0].to_string(), "c96f7ed1fb3e661d");
    let sealer = sealer(&[FIRST]);
    let known = [
        (
            Subject::None,
            "pq1.yW9-0fs-Zh0AAQIDBAUGBwgJCgskQeNxMJTyk7p7mG2DvO6hsLx3GjRf0ASY_2mZs3R2eaSlnAZJaP2Q_pWlg56oRNEbde20Tq6w\
             Q4AdOeNpV1QDD9nVGkM",
        ),
        (
            Subject::Named("alice@example.org"),
            "pq1.yW9-0fs-Zh0AAQIDBAUGBwgJCgt6yv48poQuO5jtVyhezCfwRmnT1ICWu58t51_dxJRrN6LaJwXvBv_0NDp455mqdjc5Kco3qJFZ\
             DuzJdCLyznYNl1qgsBw",
        ),
    ];
    for (subject, known) in known {
        let holder = Holder {
            peer: &id(PLANNER),
            subject,
        };
        let contents = Contents {
            backend: "default",
            original: ORIGINAL,
            at: at(SEALED_AT),
        };
        let nonce = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        let sealed = sealer.seal_with(nonce, &holder, &contents).unwrap();
        assert_eq!(sealed, known);
        let opened = open_for(&sealer, PLANNER, subject, known.as_bytes()).unwrap();
        assert_eq!(opened, what_was_sealed());
    }
}
