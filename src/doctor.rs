//! `doctor`: whether what a run needs is there. It looks, asks the provider one question, and changes nothing.

mod home;
mod leftovers;
mod machine;
mod provider;
mod report;
mod survey;

use sapwood_protocol::approval::SandboxPolicy;

use crate::cli::DoctorArgs;
use crate::config::{Places, Reading};
use crate::exit::{Exit, Failure};
use crate::home::Homes;
use crate::output::{Piece, write_now};
use crate::setup::directory;

use report::Check;
use survey::Survey;

/// Checks everything, and says what to do about what does not do.
pub fn run(args: &DoctorArgs) -> Exit {
    match examine(args) {
        Ok((homes, checks)) => {
            let text = if args.json { report::as_json(&homes, &checks) } else { report::as_lines(&checks) };
            let is_fine = !checks.iter().any(Check::is_failure);
            write_now(&[Piece::Stdout(text)], if is_fine { Exit::Done } else { Exit::Failure })
        }
        // There is no home, or no directory to work in: nothing can be looked at.
        Err(failure) => write_now(&[Piece::err(format!("sapwood: {failure}"))], failure.exit),
    }
}

fn examine(args: &DoctorArgs) -> Result<(Homes, Vec<Check>), Failure> {
    let homes = Homes::find(args.home.as_deref())?;
    let cwd = directory(None)?;
    let (profile, overrides) = (args.profile.as_deref(), &args.overrides[..]);
    let reading = Reading::of(&Places { homes: &homes, cwd: Some(&cwd), profile, overrides, client: None });
    // The rehearsal of a Codex home keeps its rollouts in ours.
    let mut places = vec![&*homes.home];
    if homes.is_codex() && homes.state != homes.home {
        places.push(&homes.state);
    }
    let survey = Survey::of(&places);
    let checks = vec![
        home::check(&homes, args.home.is_some()),
        home::files(&reading),
        leftovers::locks(&survey),
        machine::sandbox(reading.config.rights.sandbox.as_ref().map_or(&SandboxPolicy::READ_ONLY, |set| &set.policy)),
        provider::check(&reading.config, &homes),
        machine::limits(),
        leftovers::check(&survey),
        leftovers::versions(&survey),
    ];
    Ok((homes, checks))
}
