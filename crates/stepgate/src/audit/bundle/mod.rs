//! `audit export` as a bundle of evidence, and `audit prove`: what the gate gives out, and what is made of it here.

mod files;
mod gate;
mod pack;
mod spool;

pub(super) use files::{BundleDir, BundleTar, is_bundle_dir, is_tar};
pub(super) use gate::{bundle, prove, seal};
pub(super) use pack::{Target, Wanted, free_file, new_id, pack, target};
pub(super) use spool::{Spool, create, sync_parent};
