//! `audit export` as a bundle of evidence, and `audit prove`: what the gate gives out, and what is made of it here.

mod files;
mod gate;
mod pack;

pub(super) use files::{BundleDir, BundleTar, is_bundle_dir, is_tar};
pub(super) use gate::{bundle, prove, seal};
pub(super) use pack::{Target, Wanted, new_id, pack, target};
