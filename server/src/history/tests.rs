mod pages;
mod recorded;
