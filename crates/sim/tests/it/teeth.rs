//! Each promise, broken on purpose, is reported as broken.

use hubbub_sim::{Config, Promise, Sabotage, run};

/// Seeds within which a broken promise must be noticed.
const SEEDS: u64 = 150;

fn check(sabotage: Sabotage, expect: &[Promise]) {
    let config = Config { sabotage: Some(sabotage), ..Config::default() };
    let violation = (0..SEEDS).find_map(|seed| run(seed, &config).err());
    let violation = violation.unwrap_or_else(|| panic!("{sabotage:?} was not noticed"));
    println!("{sabotage:?}: seed {}: {}", violation.seed, violation.what);
    assert!(expect.contains(&violation.promise), "{sabotage:?}: {violation}");
}

#[test]
fn every_sabotage_is_noticed() {
    for sabotage in Sabotage::ALL {
        let expect: &[Promise] = match sabotage {
            Sabotage::AckBeforeCommit => &[Promise::P1],
            Sabotage::ForgetClientIds | Sabotage::RenameRetries => &[Promise::P2],
            Sabotage::SwapCommands | Sabotage::SkipSeq => &[Promise::P3],
            Sabotage::EchoToSender
            | Sabotage::LosePublications
            | Sabotage::IgnoreJoin
            | Sabotage::ConfirmUnseen => &[Promise::P4],
            Sabotage::LoseRead => &[Promise::P5],
            Sabotage::CountOwnMessages => &[Promise::P6],
            Sabotage::IgnoreLeave | Sabotage::ForgetStays => &[Promise::P7],
        };
        check(sabotage, expect);
    }
}
