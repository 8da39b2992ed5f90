//! `doctor`: whether what a run needs is there.

use crate::cli::DoctorArgs;
use crate::ending::Ending;
use crate::exit::{Exit, Failure};

/// Says that there is nothing yet.
pub fn run(args: &DoctorArgs) -> Exit {
    Ending::failed(&Failure::usage("this command is not available in this version yet")).say_now(args.json)
}
