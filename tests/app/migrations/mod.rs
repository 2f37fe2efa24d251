//! The migrations as databases out there have them.

mod rate_limits;

use data_encoding::HEXLOWER;

/// Every migration that has landed, by its version, with the SHA-384 of its file, which
/// sqlx writes into each database that it migrates and compares at each start.
const LANDED: &[(i64, &str)] = &[
    (
        20261122000001,
        "38bc6fa45ddccfd6f79870ac09080f6811293f98b52ab5c32434447c65257f6e6f17f0cf9d528e2ee2b99c3b55755288",
    ),
    (
        20261122000002,
        "dea50ddfcd16b9f656e6a7da9c56662a87bc02fd38a6a9e55a41f47ce47546f74574a5b1051d877ff6e8e21661616d8a",
    ),
    (
        20261122000003,
        "c14bf4f862e9c4087ce3144d18152057fac7c423e58b4861e7357351c3cc2989544f561b94453c4797e4b27bf43a4945",
    ),
    (
        20261122000004,
        "45ede1cff4fe271bd2b9c612ae85a18557488abc992b992fa27a4916168b8abfc9d90f492ada83a577d175ef1eebdfdb",
    ),
    (
        20261123000001,
        "79a90c6bfe2ba87e1c73ca35e1fda8ab5060a879a5a9a2c1b44d3121470c7c244cac2b2236579fce0887e8418a9eeed9",
    ),
    (
        20261128000001,
        "0379e3e7ff3ea3c19cc58765e3e63cffa6dd686398a611037d71401ba4615164e5d96eef4b3698264a897d8dd55f5424",
    ),
    (
        20261128000002,
        "91e5c3af53d4df1b11687b2dcf490b60ff6ce6be341caace1bc4aa407ff8f6146451efdb106777de5ec8251eb4b59225",
    ),
    (
        20261128000003,
        "31416a0178a1ab3662d6f7b15c71419e1b8d5be1e0c8367a2e7ded0f42c17935aea7382a9e623c0c51a1aca69fe2e190",
    ),
];

#[test]
fn a_migration_that_has_landed_is_never_edited() {
    let found: Vec<(i64, String)> = sqlx::migrate!()
        .iter()
        .map(|it| (it.version, HEXLOWER.encode(&it.checksum)))
        .collect();
    for (version, checksum) in LANDED {
        assert!(
            found.contains(&(*version, (*checksum).to_owned())),
            "{version} was edited or removed. No program starts any more on a database that \
             has it: put it back as it was, and write what is to change as a new migration"
        );
    }
    for (version, checksum) in &found {
        assert!(
            LANDED.iter().any(|(landed, _)| landed == version),
            "{version} is new: add ({version}, \"{checksum}\") to LANDED"
        );
    }
}
