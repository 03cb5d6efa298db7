//! Each promise, broken on purpose, is reported as broken.

use hubbub_sim::{Config, Promise, Sabotage, run};

/// Seeds within which a broken promise must be noticed.
const SEEDS: u64 = 500;

/// The first of `expect` must be noticed; the others may be before.
fn check(sabotage: Sabotage, expect: &[Promise]) {
    let config = Config { sabotage: Some(sabotage), ..Config::default() };
    for seed in 0..SEEDS {
        let Err(violation) = run(seed, &config) else { continue };
        println!("{sabotage:?}: seed {}: {}", violation.seed, violation.what);
        assert!(expect.contains(&violation.promise), "{sabotage:?}: {violation}");
        if violation.promise == expect[0] {
            return;
        }
    }
    panic!("{sabotage:?} was not noticed as {:?}", expect[0]);
}

#[test]
fn every_sabotage_is_noticed() {
    for sabotage in Sabotage::ALL {
        let expect: &[Promise] = match sabotage {
            // What was acked and is lost may be a read.
            Sabotage::AckBeforeCommit => &[Promise::P1, Promise::P5],
            // A second entry breaks off what came with it.
            Sabotage::ForgetClientIds | Sabotage::RenameRetries => &[Promise::P2, Promise::P1],
            Sabotage::SwapCommands | Sabotage::SkipSeq => &[Promise::P3],
            Sabotage::EchoToSender
            | Sabotage::LosePublications
            | Sabotage::IgnoreJoin
            | Sabotage::ConfirmUnseen => &[Promise::P4],
            Sabotage::LoseRead
            | Sabotage::LoseReactions
            | Sabotage::LosePins
            | Sabotage::IgnoreUpdates => &[Promise::P5],
            // What is forwarded is what was there before.
            Sabotage::LoseEdits => &[Promise::P5, Promise::P7],
            // Half of it may be gone.
            Sabotage::ForgetRemovals => &[Promise::P7, Promise::P5],
            Sabotage::CountOwnMessages
            | Sabotage::CountRemovedMessages
            | Sabotage::LoseMentions => &[Promise::P6],
            Sabotage::IgnoreLeave
            | Sabotage::ForgetStays
            | Sabotage::IgnoreVeils
            | Sabotage::ForgetMutes
            | Sabotage::ForgetBans
            | Sabotage::ForgetBlocks
            | Sabotage::ForgetRoles
            | Sabotage::ForgetPrivacy
            | Sabotage::LoseHidden
            | Sabotage::ForgetCleared => &[Promise::P7],
            // It counts as unread, and stands in the list of conversations.
            Sabotage::ForgetHidden => &[Promise::P7, Promise::P5, Promise::P6],
            Sabotage::ShowExpired => &[Promise::P7, Promise::P5, Promise::P1],
            Sabotage::KeepExpired | Sabotage::LoseHeads => &[Promise::P1],
        };
        check(sabotage, expect);
    }
}
