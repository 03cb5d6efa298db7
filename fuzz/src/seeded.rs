//! The seeded run: every target in turn, for a bounded time, on reproducible inputs.

use crate::Target;
use crate::mutate::{Random, input};
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const USAGE: &str = "\
usage: fuzz [--seconds S] [--target NAME] [--seed N [--number N]] | --write-examples DIR

  --seconds S    time for each target (5)
  --target NAME  only this one
  --seed N       the run's seed (default: from the clock)
  --number N     only this input: replays a failure
  --write-examples DIR   write each target's examples as files into DIR/TARGET instead
";

#[derive(Default)]
struct Options {
    seconds: Option<f64>,
    target: Option<String>,
    seed: Option<u64>,
    number: Option<u64>,
    write_examples: Option<PathBuf>,
}

fn parse(mut words: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options::default();
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word.as_str() {
            "--seconds" => options.seconds = Some(value.parse().ok()?),
            "--target" => options.target = Some(value),
            "--seed" => options.seed = Some(value.parse().ok()?),
            "--number" => options.number = Some(value.parse().ok()?),
            "--write-examples" => options.write_examples = Some(value.into()),
            _ => return None,
        }
    }
    Some(options)
}

/// Runs `targets` as the command line says; the exit code is 1 when one of them panicked.
pub fn main(targets: &[Target]) -> ExitCode {
    let Some(options) = parse(std::env::args().skip(1)) else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    if let Some(directory) = &options.write_examples {
        return match targets
            .iter()
            .try_for_each(|target| write_examples(target, &directory.join(target.name)))
        {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{}: {error}", directory.display());
                ExitCode::from(2)
            }
        };
    }
    let wanted = |target: &&Target| options.target.as_ref().is_none_or(|name| name == target.name);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed = options.seed.unwrap_or(clock.as_nanos() as u64);
    println!("seed {seed}");
    let mut ran = 0;
    let mut failed = 0;
    for target in targets.iter().filter(wanted) {
        ran += 1;
        if let Err(number) = run(target, seed, &options) {
            failed += 1;
            println!(
                "{}: FAILED; replay with --target {} --seed {seed} --number {number}",
                target.name, target.name
            );
        }
    }
    if ran == 0 {
        eprintln!(
            "no such target; there are: {}",
            targets.iter().map(|target| target.name).collect::<Vec<_>>().join(" ")
        );
        return ExitCode::from(2);
    }
    println!("{} passed, {failed} failed", ran - failed);
    ExitCode::from(u8::from(failed > 0))
}

fn write_examples(target: &Target, directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for (number, example) in (target.examples)().iter().enumerate() {
        fs::write(directory.join(format!("example-{number:02}")), example)?;
    }
    Ok(())
}

/// Runs one target; the error is the number of the input that broke it.
fn run(target: &Target, seed: u64, options: &Options) -> Result<(), u64> {
    let examples = (target.examples)();
    let attempt = |number| {
        let bytes = input(&mut Random::new(seed, number), &examples);
        catch_unwind(AssertUnwindSafe(|| (target.run)(&bytes))).map_err(|_| number)
    };
    if let Some(number) = options.number {
        return attempt(number);
    }
    let start = Instant::now();
    let budget = Duration::from_secs_f64(options.seconds.unwrap_or(5.0));
    let mut executions = 0;
    while start.elapsed() < budget {
        attempt(executions)?;
        executions += 1;
    }
    println!("{}: {executions} executions in {:.1} s", target.name, start.elapsed().as_secs_f64());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSES_A_BYTE: Target = Target {
        name: "refuses_a_byte",
        run: |bytes| assert!(!bytes.contains(&0x7f)),
        examples: || vec![vec![0; 40]],
    };

    #[test]
    fn a_failure_is_found_and_replayable() {
        let run_with = |number| {
            run(&REFUSES_A_BYTE, 11, &Options { seconds: Some(30.0), number, ..Options::default() })
        };
        let number = run_with(None).expect_err("a mutation must set the byte");
        assert_eq!(run_with(Some(number)), Err(number));
    }
}
