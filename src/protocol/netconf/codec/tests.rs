use super::*;

const MAX: u64 = 1_000;

fn decoder(framing: Framing) -> Decoder {
    let mut decoder = Decoder::new(MAX);
    decoder.switch(framing);
    decoder
}

/// Whole messages, however they were cut; a message that has not ended is left out.
fn messages(framing: Framing, cuts: &[&[u8]]) -> Result<Vec<String>, FrameError> {
    let mut decoder = decoder(framing);
    let (mut all, mut message) = (Vec::new(), Vec::new());
    for cut in cuts {
        decoder.push(cut);
        while let Some(piece) = decoder.next_piece()? {
            match piece {
                Piece::Data(data) => message.extend_from_slice(&data),
                Piece::End => all.push(String::from_utf8(std::mem::take(&mut message)).expect("text")),
            }
        }
    }
    Ok(all)
}

#[test]
fn chunks_split_and_merged() {
    for (cuts, expected) in [
        (&[&b"\n#4\n<a/>\n##\n"[..]][..], &["<a/>"][..]),
        (&[b"\n#2\n<a\n#2\n/>\n##\n"], &["<a/>"]),
        (&[b"\n#1\n<\n#1\na\n#1\n/\n#1\n>\n##\n"], &["<a/>"]),
        (&[b"\n", b"#", b"4", b"\n", b"<a", b"/>", b"\n#", b"#", b"\n"], &["<a/>"]),
        (&[b"\n#4\n<a/>\n##\n\n#4\n<b/>\n##\n"], &["<a/>", "<b/>"]),
        (&[b"\n#4\n<a/>\n##\n\n#4\n<b/"], &["<a/>"]),
        (&[b"\n#6\n]]>]]>\n##\n"], &["]]>]]>"]),
        (&[b"\n#6\n\n##\n\n#\n##\n"], &["\n##\n\n#"]),
        (&[b"\n\n#4\n<a/>\n##\n"], &["<a/>"]),
        (&[b"\r\n", b"\n#4\n<a/>\n##\n"], &["<a/>"]),
        (&[b"\n#10\n0123456789\n##\n"], &["0123456789"]),
    ] {
        assert_eq!(
            messages(Framing::Chunked, cuts).as_deref(),
            Ok(&expected.iter().map(|e| (*e).to_owned()).collect::<Vec<_>>()[..]),
            "{cuts:?}"
        );
    }
}

#[test]
fn chunks_that_are_none() {
    for bytes in [
        &b"<a/>"[..],
        b"#4\n<a/>\n##\n",
        b"\n#0\n\n##\n",
        b"\n#04\n<a/>\n##\n",
        b"\n#4 \n<a/>\n##\n",
        b"\n# 4\n<a/>",
        b"\n#+4\n<a/>",
        b"\n#-4\n<a/>",
        b"\n#0x4\n<a/>",
        b"\n#4\r\n<a/>",
        b"\n#4294967296\n",
        b"\n#99999999999",
        b"\n#12345678901\n",
        b"\n#1001\n",
        b"\n#600\n",
        b"\n##\n",
        b"\n#4\n<a/>##\n",
        b"\n#4\n<a/>\n#\n",
        b"\n#4\n<a/>\n###\n",
        b"\n#4\n<a/>\n##\r\n",
        b"\n#4\n<a/>\n##\nX",
        b"\n#4\n<a/>\n##\n<b/>",
        b"\n#4\n<a/>]]>]]>",
        b"\n#a\n",
        b"\n\xff#4\n",
    ] {
        let bytes = match bytes {
            b"\n#600\n" => [&b"\n#600\n"[..], &[b'x'; 600], b"\n#600\n"].concat(),
            other => other.to_vec(),
        };
        assert!(messages(Framing::Chunked, &[&bytes]).is_err(), "{}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn markers() {
    for (cuts, expected) in [
        (&[&b"<a/>]]>]]>"[..]][..], &["<a/>"][..]),
        (&[b"<a/>]]>", b"]]>"], &["<a/>"]),
        (&[b"<a/>]", b"]", b">", b"]", b"]", b">"], &["<a/>"]),
        (&[b"<a/>]]>]]><b/>]]>]]>"], &["<a/>", "<b/>"]),
        (&[b"]]>]]>"], &[""]),
        (&[b"<a/>]]>]] >"], &[]),
        (&[b"a]]]>]]>]]>"], &["a]"]),
    ] {
        assert_eq!(
            messages(Framing::EndOfMessage, cuts).as_deref(),
            Ok(&expected.iter().map(|e| (*e).to_owned()).collect::<Vec<_>>()[..]),
            "{cuts:?}"
        );
    }
    assert_eq!(messages(Framing::EndOfMessage, &[&[b'x'; 1001]]), Err(FrameError::TooLong(MAX)));
}

#[test]
fn what_would_end_early_is_not_sent() {
    for pieces in [
        &[&b"x]]>]]>y"[..]][..],
        &[b"x]]>", b"]]>y"],
        &[b"x]]>]", b"]>"],
        &[b"]", b"]", b">", b"]", b"]", b">"],
        &[b"x]]>"],
        &[b"y]]", b">"],
    ] {
        let (mut encoder, mut out) = (Encoder::new(), BytesMut::new());
        let sent = pieces
            .iter()
            .map(|piece| Piece::Data(Bytes::copy_from_slice(piece)))
            .chain([Piece::End])
            .try_for_each(|piece| encoder.encode(&piece, &mut out));
        assert_eq!(sent, Err(FrameError::HoldsMarker), "{pieces:?}");
        assert!(!out.windows(6).any(|w| w == MARKER), "{pieces:?}");
    }
    assert_eq!(frame(Framing::Chunked, b"x]]>]]>").as_deref(), Ok(&b"\n#7\nx]]>]]>\n##\n"[..]));
}

proptest::proptest! {
    #[test]
    fn what_is_framed_reads_back(pieces in proptest::collection::vec("[ab\\]>#\n0-9]{0,20}", 1..6), cut in 1_usize..9) {
        let message: String = pieces.concat();
        for framing in [Framing::Chunked, Framing::EndOfMessage] {
            let mut encoder = Encoder::new();
            encoder.switch(framing);
            let mut out = BytesMut::new();
            let sent = pieces
                .iter()
                .map(|piece| Piece::Data(Bytes::copy_from_slice(piece.as_bytes())))
                .chain([Piece::End])
                .try_for_each(|piece| encoder.encode(&piece, &mut out));
            if message.is_empty() && framing == Framing::Chunked {
                continue;
            }
            if sent.is_ok() {
                let cuts: Vec<&[u8]> = out.chunks(cut).collect();
                proptest::prop_assert_eq!(messages(framing, &cuts), Ok(vec![message.clone()]));
            } else {
                proptest::prop_assert!(framing == Framing::EndOfMessage);
            }
        }
    }

    #[test]
    fn noise_never_panics_and_cuts_do_not_matter(bytes in "[\n#0-9a\\]>]{0,60}", cut in 1_usize..9) {
        for framing in [Framing::Chunked, Framing::EndOfMessage] {
            let whole = messages(framing, &[bytes.as_bytes()]);
            let cuts: Vec<&[u8]> = bytes.as_bytes().chunks(cut).collect();
            proptest::prop_assert_eq!(messages(framing, &cuts).ok(), whole.ok());
        }
    }
}
