//! Cutting never depends on how the network delivers the bytes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of the tests are tests, too")]

use bytes::{BufMut as _, BytesMut};
use proptest::prelude::*;
use stepgate_wire::read::ErrorFields;
use stepgate_wire::{
    Cutter, Dropped, FrameError, HEADER, LARGE, MAX_FRAME, MAX_SMALL, MAX_STREAMED, Piece, Side, peek,
};

fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = BytesMut::new();
    frame.put_u8(tag);
    frame.put_u32(u32::try_from(body.len() + 4).unwrap());
    frame.put_slice(body);
    frame.to_vec()
}

/// A stream's frames, however many pieces each came in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    tag: u8,
    bytes: Vec<u8>,
    complete: bool,
}

/// Feeds chunks; checks that pieces of one frame are marked as such.
fn cut(mut cutter: Cutter, chunks: &[&[u8]]) -> Result<Vec<Seen>, FrameError> {
    let mut seen: Vec<Seen> = Vec::new();
    for chunk in chunks {
        cutter.push(chunk);
        while let Some(piece) = cutter.next()? {
            match piece {
                Piece::Whole { tag, bytes } => {
                    seen.push(Seen { tag, bytes: bytes.to_vec(), complete: true });
                }
                Piece::Part { tag, bytes, first, last } => {
                    if first {
                        assert!(bytes.len() >= HEADER);
                        seen.push(Seen { tag, bytes: Vec::new(), complete: false });
                    }
                    let under_way = seen.last_mut().unwrap();
                    assert!(!under_way.complete && under_way.tag == tag && !bytes.is_empty());
                    under_way.bytes.extend_from_slice(&bytes);
                    under_way.complete = last;
                }
                Piece::Dropped { .. } => panic!("nothing is dropped where nobody says so"),
            }
        }
        assert_eq!(
            cutter.in_streamed_frame(),
            seen.last().is_some_and(|last| !last.complete),
            "the cutter knows whether it stands inside a frame"
        );
    }
    Ok(seen)
}

fn client_stream() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let tags = prop::sample::select(b"QPBEDCSHFXdcf".to_vec());
    prop::collection::vec((tags, prop::collection::vec(any::<u8>(), 0..40)), 1..6)
}

proptest! {
    #[test]
    fn cutting_at_every_byte_boundary_yields_the_same_frames(frames in client_stream()) {
        let stream: Vec<u8> = frames.iter().flat_map(|(tag, body)| frame(*tag, body)).collect();
        let expected: Vec<Seen> = frames
            .iter()
            .map(|(tag, body)| Seen { tag: *tag, bytes: frame(*tag, body), complete: true })
            .collect();
        for at in 0..=stream.len() {
            let (left, right) = stream.split_at(at);
            prop_assert_eq!(&cut(Cutter::client(), &[left, right]).unwrap(), &expected);
        }
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        prop_assert_eq!(&cut(Cutter::client(), &single).unwrap(), &expected);
    }

    #[test]
    fn no_stream_makes_the_cutter_panic_or_lose_a_byte(stream: Vec<u8>, size in 1_usize..9) {
        for side in [Cutter::client(), Cutter::server()] {
            let chunks: Vec<&[u8]> = stream.chunks(size).collect();
            if let Ok(seen) = cut(side, &chunks) {
                let bytes: Vec<u8> = seen.into_iter().flat_map(|seen| seen.bytes).collect();
                prop_assert!(stream.starts_with(&bytes));
            }
        }
    }
}

#[test]
fn a_length_smaller_than_itself_ends_the_stream() {
    for length in [0_i32, 3, -1, i32::MIN] {
        let mut stream = vec![b'Q'];
        stream.extend(length.to_be_bytes());
        assert_eq!(cut(Cutter::client(), &[&stream]), Err(FrameError::Length { tag: b'Q' }));
    }
    assert_eq!(peek(&[b'S', 0, 0, 0, 4]).unwrap().unwrap().len, 0);
    assert_eq!(peek(&[b'S', 0, 0, 0]), Ok(None));
}

#[test]
fn each_kind_of_message_has_its_limit_before_anything_is_buffered() {
    let header = |tag: u8, total: usize| {
        let mut header = vec![tag];
        header.extend(u32::try_from(total - 1).unwrap().to_be_bytes());
        header
    };
    let refused = |mut cutter: Cutter, tag, total| {
        cutter.push(&header(tag, total));
        matches!(cutter.next(), Err(FrameError::TooLong { .. }))
    };
    for (tag, limit) in [(b'Q', MAX_FRAME), (b'B', MAX_FRAME), (b'S', MAX_SMALL), (b'd', MAX_STREAMED)] {
        assert!(!refused(Cutter::client(), tag, limit), "{tag}");
        assert!(refused(Cutter::client(), tag, limit + 1), "{tag}");
    }
    assert!(!refused(Cutter::server(), b'D', MAX_STREAMED));
    assert!(refused(Cutter::new(Side::Server, b""), b'D', MAX_FRAME + 1));
    // A client's D is a Describe.
    assert!(refused(Cutter::client(), b'D', MAX_SMALL + 1));
}

#[test]
fn a_message_type_of_the_other_direction_ends_the_stream() {
    assert_eq!(cut(Cutter::client(), &[&frame(b'Z', b"I")]), Err(FrameError::UnknownTag { tag: b'Z' }));
    assert_eq!(cut(Cutter::server(), &[&frame(b'Q', b"\0")]), Err(FrameError::UnknownTag { tag: b'Q' }));
}

#[test]
fn a_huge_row_passes_in_pieces_without_being_gathered() {
    let mut cutter = Cutter::server();
    let total = 64 << 20;
    cutter.push(&[b'D', 4, 0, 0, 0]);
    assert!(matches!(cutter.next(), Ok(Some(Piece::Part { first: true, last: false, .. }))));
    let (chunk, mut sent) = (vec![7; 1 << 20], 5);
    while sent < total + 1 {
        let now = chunk.len().min(total + 1 - sent);
        cutter.push(&chunk[..now]);
        sent += now;
        let piece = cutter.next().unwrap().unwrap();
        assert_eq!(piece.bytes().len(), now);
        assert_eq!(cutter.buffered(), 0);
        assert!(matches!(piece, Piece::Part { last, .. } if last == (sent == total + 1)));
    }
    assert!(cutter.at_boundary());
}

proptest! {
    /// Rows by the run are the same bytes, and as many, as rows by the piece; and nothing else is taken for rows.
    #[test]
    fn a_run_is_what_its_pieces_are(
        frames in prop::collection::vec(
            (prop::sample::select(b"DDDDdTCZ".to_vec()), prop::collection::vec(any::<u8>(), 0..40)),
            1..12,
        ),
        sizes in prop::collection::vec(1_usize..60, 1..20),
    ) {
        let stream: Vec<u8> = frames.iter().flat_map(|(tag, body)| frame(*tag, body)).collect();
        let (mut by_runs, mut by_pieces) = (Cutter::server(), Cutter::server());
        let (mut runs, mut pieces) = ((Vec::new(), 0_u64), (Vec::new(), 0_u64));
        let mut left = stream.as_slice();
        for size in sizes.iter().cycle() {
            if left.is_empty() {
                break;
            }
            let (chunk, rest) = left.split_at((*size).min(left.len()));
            left = rest;
            by_runs.push(chunk);
            by_pieces.push(chunk);
            loop {
                if let Some(run) = by_runs.run() {
                    prop_assert!(!run.bytes.is_empty());
                    prop_assert_eq!(run.ends, !by_runs.in_streamed_frame());
                    runs.0.extend_from_slice(&run.bytes);
                    runs.1 += run.begun;
                } else if let Some(piece) = by_runs.next().unwrap() {
                    let is_row = matches!(piece, Piece::Part { .. });
                    prop_assert!(!is_row, "a row is a run of one");
                    runs.0.extend_from_slice(piece.bytes());
                } else {
                    break;
                }
            }
            while let Some(piece) = by_pieces.next().unwrap() {
                pieces.0.extend_from_slice(piece.bytes());
                pieces.1 += u64::from(matches!(piece, Piece::Part { first: true, .. }));
            }
            prop_assert_eq!(&runs, &pieces);
        }
        prop_assert_eq!(runs.0, stream);
    }
}

/// What comes of one stream, in chunks of this size, where a statement may have so many bytes: the tags of what is kept
/// in capitals, of what is dropped in small letters.
fn kept(stream: &[u8], chunk: usize, limit: usize) -> String {
    let mut cutter = Cutter::client();
    cutter.allow(limit);
    let mut seen = String::new();
    for chunk in stream.chunks(chunk) {
        cutter.push(chunk);
        while let Some(piece) = cutter.next().unwrap() {
            let tag = char::from(piece.tag());
            match piece {
                Piece::Dropped { bytes, why, .. } => {
                    assert_eq!((bytes.len(), why), (HEADER, Dropped::TooLong { limit }));
                    seen.push(tag.to_ascii_lowercase());
                }
                _ => seen.push(tag),
            }
        }
        assert!(cutter.buffered() <= limit, "no more than one frame that is kept");
    }
    assert!(cutter.at_boundary());
    seen
}

#[test]
fn a_statement_that_is_too_long_is_read_to_its_end_and_what_stands_behind_it_is_not_lost() {
    let stream = [
        frame(b'Q', &[b' '; 95]),
        frame(b'Q', &[b' '; 96]),
        frame(b'S', b""),
        frame(b'B', &[0; 5_000]),
        frame(b'S', b""),
        frame(b'P', &[0; 500]),
        frame(b'F', &[0; 500]),
    ]
    .concat();
    for chunk in [1, 7, 100, 101, 10_000] {
        assert_eq!(kept(&stream, chunk, 100), "QqSbSpf", "{chunk}");
    }
}

#[test]
fn an_error_or_notice_that_is_too_long_is_read_to_its_end_and_its_first_fields_are_kept() {
    for (tag, chunk) in [(b'E', 1 << 20), (b'N', 100), (b'N', (32 << 20) + 7)] {
        let fields = [&b"SERROR\0VERROR\0CP0001\0M"[..], &vec![b'x'; MAX_FRAME]].concat();
        let stream = [frame(tag, &[&fields, &b"\0\0"[..]].concat()), frame(b'Z', b"I")].concat();
        let (mut cutter, mut seen) = (Cutter::server(), Vec::new());
        for chunk in stream.chunks(chunk) {
            cutter.push(chunk);
            while let Some(piece) = cutter.next().unwrap() {
                seen.push(piece);
            }
            assert!(cutter.buffered() < 300 + chunk.len() && cutter.missing().is_none());
        }
        assert!(cutter.at_boundary());
        let [Piece::Dropped { tag: dropped, bytes, why }, Piece::Whole { tag: b'Z', .. }] = &*seen else {
            panic!("{} pieces", seen.len());
        };
        assert_eq!((*dropped, *why), (tag, Dropped::TooLong { limit: MAX_FRAME }));
        let begun = ErrorFields::begun(bytes);
        assert_eq!((begun.get(b'C'), begun.get(b'M')), (Some(&b"P0001"[..]), None));
    }
    // Nothing else is.
    let mut cutter = Cutter::server();
    cutter.push(&frame(b'T', &vec![0; MAX_FRAME]));
    assert!(matches!(cutter.next(), Err(FrameError::TooLong { .. })));
}

#[test]
fn more_than_postgresql_takes_ends_the_stream_whatever_is_allowed_and_so_do_small_messages_that_are_long() {
    for (tag, total) in [(b'Q', MAX_STREAMED + 1), (b'D', MAX_SMALL + 1)] {
        let mut cutter = Cutter::client();
        cutter.allow(usize::MAX);
        let mut header = vec![tag];
        header.extend(u32::try_from(total - 1).unwrap().to_be_bytes());
        cutter.push(&header);
        assert!(matches!(cutter.next(), Err(FrameError::TooLong { .. })), "{tag}");
    }
}

#[test]
fn a_large_frame_says_how_much_of_it_is_missing_and_can_be_given_up() {
    let mut cutter = Cutter::client();
    cutter.allow(10 * LARGE);
    let large = frame(b'B', &vec![7; 2 * LARGE - HEADER]);
    cutter.push(&large[..HEADER - 1]);
    assert_eq!(cutter.missing(), None, "nobody knows yet");
    cutter.push(&large[HEADER - 1..LARGE]);
    assert!(cutter.next().unwrap().is_none());
    assert_eq!(cutter.missing(), Some(LARGE));
    cutter.give_up(Dropped::NoRoom);
    assert_eq!((cutter.buffered(), cutter.missing(), cutter.at_boundary()), (0, None, false));
    cutter.push(&large[LARGE..]);
    cutter.push(&frame(b'S', b""));
    let Some(Piece::Dropped { tag: b'B', why: Dropped::NoRoom, .. }) = cutter.next().unwrap() else {
        panic!("it is let go");
    };
    assert!(matches!(cutter.next(), Ok(Some(Piece::Whole { tag: b'S', .. }))));
    // Small ones, those that are streamed, and those that are too long are no large ones.
    for (tag, total) in [(b'Q', LARGE), (b'd', 2 * LARGE), (b'Q', 10 * LARGE + 1)] {
        let mut cutter = Cutter::client();
        cutter.allow(10 * LARGE);
        cutter.push(&frame(tag, &vec![7; total - HEADER])[..LARGE / 2]);
        assert_eq!(cutter.missing(), None, "{tag}");
        if tag == b'Q' {
            cutter.give_up(Dropped::StoodStill);
            assert_eq!(cutter.buffered(), 0);
        }
    }
}

#[test]
fn what_follows_a_large_frame_shares_no_memory_with_it() {
    let mut cutter = Cutter::client();
    cutter.push(&[frame(b'Q', &vec![b' '; 4 * LARGE]), frame(b'Q', b"select 1\0")].concat());
    let Some(Piece::Whole { bytes: large, .. }) = cutter.next().unwrap() else { panic!("a frame") };
    let Some(Piece::Whole { bytes: small, .. }) = cutter.next().unwrap() else { panic!("a frame") };
    assert_ne!(large.as_ptr_range().end, small.as_ptr());
}
