//! `models`: what the provider has.

use crate::cli::ModelsArgs;
use crate::ending::Ending;
use crate::exit::{Exit, Failure};

/// Says that there is nothing yet.
pub fn run(args: &ModelsArgs) -> Exit {
    Ending::failed(&Failure::usage("this command is not available in this version yet")).say_now(args.json)
}
