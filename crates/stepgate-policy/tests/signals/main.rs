//! Each signal fires, is silent on ordinary work, and cannot be taught to be silent by what was held or denied, nor by
//! somebody who has nothing but the password.

mod each;
mod poison;
mod settings;
mod world;
