//! Archives: what reads them differently from another program could be shown something else.

use std::io;

use stepgate_record::Filter;
use stepgate_record::bundle::{Format, TarWriter, read_tar};

use crate::gate::{Gate, Memory};

fn tar(files: &Memory) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    for (name, file) in &files.0 {
        tar.file(name, file.len() as u64, &mut &file[..]).unwrap();
    }
    tar.finish().unwrap()
}

#[test]
fn an_archive_is_read_as_it_was_written_and_in_no_other_form() {
    let files = Gate::new(3, 7).bundle(&Filter::default(), Format::Csv, false, true);
    let good = tar(&files);
    let entries = read_tar(&mut &good[..], 16).unwrap();
    assert_eq!(entries.len(), files.0.len());
    for entry in &entries {
        let at = usize::try_from(entry.offset).unwrap();
        assert_eq!(good[at..at + usize::try_from(entry.size).unwrap()], files.0[&entry.name]);
    }
    let inside = |at: usize| {
        entries.iter().any(|entry| (entry.offset..entry.offset + entry.size).contains(&(at as u64)))
    };
    for at in (0..good.len()).filter(|at| !inside(*at)) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        let read = read_tar(&mut &bad[..], 16);
        // A name may become another one, which then does not belong to the bundle.
        assert!(read.is_err() || read.is_ok_and(|read| read != entries), "byte {at}");
    }
    for end in 0..good.len() {
        assert!(read_tar(&mut &good[..end], 16).is_err(), "cut at {end}");
    }
    assert!(read_tar(&mut &[&good[..], b"\0"].concat()[..], 16).is_err());
    assert!(read_tar(&mut &[&good[..], &good[..]].concat()[..], 16).is_err());
    assert!(read_tar(&mut &good[..], 3).is_err(), "more files than a bundle has");
}

#[test]
fn tricks_with_archives_are_refused() {
    let tricky = |change: &dyn Fn(&mut [u8])| {
        let mut writer = TarWriter::new(Vec::new());
        writer.file("checkpoint", 5, &mut &b"hello"[..]).unwrap();
        let mut bytes = writer.finish().unwrap();
        change(&mut bytes);
        // With a good checksum.
        bytes[148..156].fill(b' ');
        let sum: u32 = bytes[..512].iter().map(|byte| u32::from(*byte)).sum();
        bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        read_tar(&mut &bytes[..], 16)
    };
    assert!(tricky(&|_| ()).is_ok());
    let put = |bytes: &mut [u8], at: usize, what: &[u8]| bytes[at..at + what.len()].copy_from_slice(what);
    for name in
        ["../checkpoint\0", "/checkpoint\0", "a/b\0", ".checkpoint\0", "\x1b[2Jcheckpoint\0", "\0checkpoint"]
    {
        assert!(tricky(&|bytes| put(bytes, 0, name.as_bytes())).is_err(), "{name:?}");
    }
    for kind in [b"1", b"2", b"5", b"x", b"g", b"L", b"\0"] {
        assert!(tricky(&|bytes| put(bytes, 156, kind)).is_err(), "{kind:?}");
    }
    for size in [&b"77777777777"[..], b"\x80\0\0\0\0\0\0\0\0\0\x7f", b"-0000000005", b" 0000000005"] {
        assert!(tricky(&|bytes| put(bytes, 124, size)).is_err(), "{size:?}");
    }
    // Where links lead to, other owners, modes, dates, prefixes.
    for (at, what) in
        [(157, "x"), (108, "0000001"), (100, "0004755"), (136, "00000000001"), (345, "dir"), (265, "root")]
    {
        assert!(tricky(&|bytes| put(bytes, at, what.as_bytes())).is_err(), "{what}");
    }
    let mut twice = TarWriter::new(Vec::new());
    twice.file("a", 1, &mut &b"1"[..]).unwrap();
    twice.file("a", 1, &mut &b"2"[..]).unwrap();
    assert!(read_tar(&mut &twice.finish().unwrap()[..], 16).is_err());
    assert!(TarWriter::new(Vec::new()).file("../a", 1, &mut &b"1"[..]).is_err());
    assert!(TarWriter::new(io::sink()).file("a", 1 << 33, &mut io::repeat(0)).is_err());
}
