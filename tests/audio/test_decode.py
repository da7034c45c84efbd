from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import numpy as np
import pytest

from pipeline.audio.decode import AudioFault, decode
from tests.audio.make import encode, encode_av, tone, with_granule

SNDFILE_FORMATS = [
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("WAV", "DOUBLE"),
    ("WAV", "IMA_ADPCM"),
    ("RF64", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
    ("AIFF", "PCM_16"),
    ("AU", "PCM_16"),
    ("CAF", "PCM_16"),
    ("W64", "PCM_16"),
]
AV_FORMATS = [("ipod", "aac"), ("mp4", "aac"), ("adts", "aac"), ("webm", "libopus"), ("matroska", "aac")]


def reason_of(data: bytes, **options: float) -> str:
    with pytest.raises(AudioFault) as caught:
        decode(data, "recording.wav", 16000, **options)
    assert "recording.wav" in caught.value.message
    return caught.value.reason


def peak_hz(waveform: np.ndarray, sample_rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return float(spectrum.argmax()) * sample_rate / len(waveform)


@pytest.mark.parametrize(("container", "subtype"), SNDFILE_FORMATS)
def test_a_tone_keeps_its_pitch_length_and_level(container: str, subtype: str) -> None:
    audio = decode(encode(tone(1000, 1.0, 48000), 48000, container, subtype), "a", 16000)
    assert (audio.sample_rate_in, audio.channels_in) == (48000, 1)
    assert audio.waveform.dtype == np.float32
    assert len(audio.waveform) == pytest.approx(16000, abs=800)
    assert peak_hz(audio.waveform, 16000) == pytest.approx(1000, abs=2)
    middle = audio.waveform[4000:12000]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.03)


@pytest.mark.parametrize(("container", "codec"), AV_FORMATS)
def test_what_libsndfile_cannot_decode_is_decoded_by_ffmpeg(container: str, codec: str) -> None:
    audio = decode(encode_av(tone(1000, 1.0, 48000), 48000, container, codec), "a", 16000)
    assert (audio.sample_rate_in, audio.channels_in) == (48000, 1)
    assert len(audio.waveform) == pytest.approx(16000, abs=1100)
    assert peak_hz(audio.waveform, 16000) == pytest.approx(1000, abs=2)


def test_mono_is_the_mean_of_the_channels() -> None:
    channels = np.stack([tone(200 * (c + 1), 0.1, 44100) for c in range(8)], axis=1)
    audio = decode(encode(channels, 44100, "WAV", "FLOAT"), "a", 44100)
    assert audio.channels_in == 8
    np.testing.assert_allclose(audio.waveform, channels.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 8, 17, 64])
def test_ffmpeg_gives_every_channel(count: int) -> None:
    channels = np.stack([tone(100 + 20 * c, 0.1, 44100, 0.4) for c in range(count)], axis=1)
    data = bytearray(encode(channels, 44100, "WAV", "FLOAT"))
    # Of an open size, so that it is FFmpeg that reads it.
    struct.pack_into("<I", data, data.index(b"data") + 4, 0xFFFFFFFF)
    audio = decode(bytes(data), "a", 44100)
    assert audio.channels_in == count
    np.testing.assert_allclose(audio.waveform, channels.mean(axis=1), atol=1e-6)


def test_at_its_own_rate_nothing_is_changed() -> None:
    samples = tone(440, 0.2, 22050)
    np.testing.assert_array_equal(decode(encode(samples, 22050, "WAV", "FLOAT"), "a", 22050).waveform, samples)


@pytest.mark.parametrize("sample_rate", [1, 8000, 11025, 192000, 384000])
def test_any_rate_gives_the_same_duration(sample_rate: int) -> None:
    n = max(2, sample_rate // 4)
    waveform = decode(encode(np.zeros(n, np.float32), sample_rate), "a", 16000).waveform
    assert len(waveform) == round(n * 16000 / sample_rate)


def test_a_tone_above_the_new_nyquist_is_removed() -> None:
    waveform = decode(encode(tone(12000, 1.0, 48000), 48000, "WAV", "FLOAT"), "a", 16000).waveform
    assert np.abs(waveform[1000:-1000]).max() < 1e-4


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_clip_of_a_few_samples_has_at_least_one(n: int) -> None:
    assert len(decode(encode(np.full(n, 0.1, np.float32), 192000), "a", 8000).waveform) >= 1


def test_silence_is_not_a_fault() -> None:
    assert not decode(encode(np.zeros(1000, np.float32), 16000), "a", 16000).waveform.any()


def test_empty() -> None:
    assert reason_of(b"") == "empty"


@pytest.mark.parametrize(
    "data",
    [
        b"hello, this is a text file\n" * 50,
        b"<html><body>404</body></html>",
        bytes(4096),
        b"\x89PNG\r\n\x1a\n" + bytes(99),
    ],
)
def test_not_audio(data: bytes) -> None:
    assert reason_of(data) == "not_audio"


def test_a_pointer_of_git_lfs_is_called_one() -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    with pytest.raises(AudioFault, match="git lfs pull") as caught:
        decode(pointer, "recording.wav", 16000)
    assert caught.value.reason == "lfs_pointer"


def test_a_playlist_cannot_make_the_decoder_open_other_files(tmp_path: Path) -> None:
    other = tmp_path / "other.wav"
    other.write_bytes(encode(tone(440, 0.2, 16000), 16000))
    for text in (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{other}\n",
        f"ffconcat version 1.0\nfile {other}\n",
    ):
        assert reason_of(text.encode()) == "not_audio"


@pytest.mark.parametrize(("container", "subtype"), SNDFILE_FORMATS)
@pytest.mark.parametrize("share", [0.4, 0.97])
def test_what_is_left_of_a_file_cut_short_is_heard_and_said_to_be_truncated(
    container: str, subtype: str, share: float
) -> None:
    data = encode(tone(1000, 2.0, 48000), 48000, container, subtype)
    data = data[: int(len(data) * share)]
    if container == "OGG" and (share < 0.5 or subtype == "VORBIS"):
        # All of it lies in the last page, which is cut.
        assert reason_of(data) == "truncated"
        return
    audio = decode(data, "a", 16000)
    assert {one.reason for one in audio.damage} == {"truncated"}
    # Codecs and pages end where they do.
    assert 2 * share - 1.01 <= len(audio.waveform) / 16000 <= 2 * share + 0.1
    assert peak_hz(audio.waveform, 16000) == pytest.approx(1000, abs=2)


def test_a_matroska_file_cut_short_is_heard_as_far_as_it_goes() -> None:
    data = encode_av(tone(1000, 1.0, 48000), 48000, "matroska", "aac")
    audio = decode(data[: len(data) // 2], "a", 16000)
    assert [one.reason for one in audio.damage] == ["truncated"]
    assert 0.3 < len(audio.waveform) / 16000 < 0.6


def test_an_mp4_file_without_its_index_is_truncated() -> None:
    data = encode_av(tone(1000, 1.0, 48000), 48000, "ipod", "aac")
    assert reason_of(data[: len(data) // 2]) == "truncated"


def test_a_wav_header_cut_short_is_truncated() -> None:
    assert reason_of(encode(tone(440, 0.1, 16000), 16000)[:30]) == "truncated"


@pytest.mark.parametrize("size", [0x7FFFF000, 0xFFFFFFFF])
def test_a_wav_whose_writer_left_the_size_open_is_read_to_its_end(size: int) -> None:
    data = bytearray(encode(tone(440, 0.1, 16000), 16000, "WAV", "PCM_16"))
    at = data.index(b"data")
    struct.pack_into("<I", data, at + 4, size)
    struct.pack_into("<I", data, 4, size)
    assert len(decode(bytes(data), "a", 16000).waveform) == 1600


def test_a_tag_behind_an_mp4_or_mp3_does_not_make_it_truncated() -> None:
    for container, codec in (("ipod", "aac"), ("mp3", "libmp3lame")):
        data = encode_av(tone(1000, 1.0, 48000), 48000, container, codec)
        assert len(decode(data + b"TAG" + bytes(125), "a", 16000).waveform) > 15000


def test_bytes_after_the_audio_do_not_matter() -> None:
    for container in ("WAV", "OGG", "AIFF"):
        data = encode(tone(440, 0.1, 16000), 16000, container)
        assert len(decode(data + b"TAG" + bytes(125), "a", 16000).waveform) == 1600


def test_no_samples() -> None:
    assert reason_of(encode(np.zeros(0, np.float32), 16000)) == "no_samples"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_silence_and_said(value: float) -> None:
    samples = tone(440, 0.1, 16000)
    samples[800:803] = value
    audio = decode(encode(samples, 16000, "WAV", "FLOAT"), "a", 16000)
    samples[800:803] = 0
    np.testing.assert_array_equal(audio.waveform, samples)
    (damage,) = audio.damage
    assert (damage.reason, damage.at_s) == ("non_finite", 0.05)
    assert damage.message == "3 samples from 0.05 s on are NaN or infinite, and silenced"
    assert reason_of(encode(np.full(100, value, np.float32), 16000, "WAV", "FLOAT")) == "non_finite"


def test_samples_whose_power_would_overflow() -> None:
    assert reason_of(encode(np.full((16000, 1), 1e20), 16000, "WAV", "FLOAT")) == "undecodable"
    integers = encode(np.full((16000, 1), 2.0**31), 16000, "WAV", "FLOAT")
    assert np.abs(decode(integers, "recording.wav", 16000).waveform).max() == 2.0**31


def test_too_long() -> None:
    data = encode(tone(440, 2.0, 16000), 16000, "FLAC")
    with pytest.raises(AudioFault, match=r"longer than 1.5 s: .*--max-clip-seconds") as caught:
        decode(data, "a", 16000, max_seconds=1.5)
    assert caught.value.reason == "too_long"
    assert len(decode(data, "a", 16000, max_seconds=2.0).waveform) == 32000


@pytest.mark.parametrize("container", ["WAV", "FLAC", "MP3"])
def test_a_header_that_claims_a_hundred_hours_is_not_believed(container: str) -> None:
    data = bytearray(encode(tone(440, 0.5, 16000), 16000, container))
    if container == "WAV":
        struct.pack_into("<I", data, data.index(b"data") + 4, 0x70000000)
    elif container == "FLAC":
        data[18:26] = (int.from_bytes(data[18:26], "big") | (1 << 36) - 1).to_bytes(8, "big")
    else:
        at = data.index(b"Info") if b"Info" in data else data.index(b"Xing")
        struct.pack_into(">II", data, at + 8, 0x7FFFFFFF, 0x7FFFFFFF)
    audio = decode(bytes(data), "a", 16000)
    assert {one.reason for one in audio.damage} == {"truncated"}
    assert len(audio.waveform) == pytest.approx(8000, abs=1200)


def test_a_header_that_asks_for_more_memory_than_there_is() -> None:
    data = bytearray(encode_av(tone(440, 0.3, 48000), 48000, "ipod", "aac"))
    struct.pack_into(">I", data, data.index(b"stts") + 8, 0x7FFFFFFF)
    assert reason_of(bytes(data)) == "out_of_memory"


@pytest.mark.parametrize(
    ("offset", "pattern", "value"), [(24, "<I", 0), (24, "<I", 2_000_000), (22, "<H", 65), (22, "<H", 0)]
)
def test_an_absurd_header_is_named(offset: int, pattern: str, value: int) -> None:
    data = bytearray(encode(tone(440, 0.1, 16000), 16000))
    struct.pack_into(pattern, data, offset, value)
    with pytest.raises(AudioFault, match=f"recording.wav: its header gives .*{value}") as caught:
        decode(bytes(data), "recording.wav", 16000)
    assert caught.value.reason == "undecodable"


def test_damage_in_the_middle_is_a_fault_or_sound_but_never_a_crash() -> None:
    rng = np.random.default_rng(0)
    for container in ("WAV", "FLAC", "OGG", "MP3"):
        intact = encode(tone(440, 0.5, 16000), 16000, container)
        for _ in range(20):
            data = bytearray(intact)
            for at in rng.integers(0, len(data), 8):
                data[at] = rng.integers(256)
            with contextlib.suppress(AudioFault):
                assert np.isfinite(decode(bytes(data), "a", 16000, max_seconds=60).waveform).all()


def test_real_recordings_are_decoded_and_never_refused(esc10_dir: Path) -> None:
    for path in sorted(esc10_dir.glob("*/*.ogg"))[::20]:
        audio = decode(path.read_bytes(), path.name, 16000)
        assert audio.sample_rate_in == 44100
        assert 0.1 < len(audio.waveform) / 16000 < 6


def test_an_ogg_file_that_counts_fewer_samples_than_it_holds_is_heard_to_its_end() -> None:
    ogg = encode(tone(440, 2.0, 16000), 16000, "OGG", "VORBIS")
    audio = decode(with_granule(ogg, lambda granule: granule - 6000), "a.ogg", 16000)
    assert len(audio.waveform) == pytest.approx(32000, abs=1100)
    assert audio.damage == ()


@pytest.mark.parametrize(("container", "at", "pattern"), [("WAV", 28, "<Q"), ("AU", 8, ">I")])
def test_a_header_of_no_bytes_is_one_that_nobody_finished(container: str, at: int, pattern: str) -> None:
    whole = encode(tone(440, 1.0, 16000), 16000, container, "PCM_16")
    made = bytearray(whole if container == "AU" else rf64(whole))
    struct.pack_into(pattern, made, at, 0)
    audio = decode(bytes(made), "a", 16000)
    assert (len(audio.waveform), audio.damage) == (16000, ())
    np.testing.assert_allclose(audio.waveform, decode(whole, "a", 16000).waveform, atol=1e-6)


def rf64(wav: bytes) -> bytes:
    data = wav[wav.index(b"data") + 8 :]
    sizes = struct.pack("<QQQI", 72 + len(data), len(data), 0, 0)
    form = wav[wav.index(b"fmt ") :][:24]
    return b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<I", 28) + sizes + form + b"data\xff\xff\xff\xff" + data


def test_a_byte_that_makes_no_sample_is_not_missing() -> None:
    wav = bytearray(encode(tone(440, 1.0, 16000), 16000))
    at = wav.index(b"data") + 4
    struct.pack_into("<I", wav, at, 32001)
    audio = decode(bytes(wav), "a.wav", 16000)
    assert (len(audio.waveform), audio.damage) == (16000, ())
    # A byte of the last sample is.
    assert [one.reason for one in decode(bytes(wav[:-1]), "a.wav", 16000).damage] == ["truncated"]


def test_the_byte_that_fills_up_the_blocks_of_a_gsm_file_is_no_sound() -> None:
    gsm = encode(tone(440, 1.0, 8000), 8000, "WAV", "GSM610")
    at = gsm.index(b"data") + 4
    odd = gsm[:at] + struct.pack("<I", len(gsm) - at - 4 + 1) + gsm[at + 4 :] + b"\0"
    audio = decode(odd, "a.wav", 8000)
    assert audio.damage == ()
    assert len(audio.waveform) == pytest.approx(8000, abs=320)


def test_a_flac_file_that_may_be_a_piece_of_another_is_said_to_be_whole_as_far_as_it_goes() -> None:
    flac = encode(tone(440, 1.0, 16000), 16000, "FLAC")
    longer = flac[:18] + (int.from_bytes(flac[18:26], "big") + 16000).to_bytes(8, "big") + flac[26:]
    audio = decode(longer, "a.flac", 16000)
    assert len(audio.waveform) == 16000
    assert [one.reason for one in audio.damage] == ["truncated"]
    assert "ends with a whole frame" in audio.damage[0].message


def test_a_hole_in_a_flac_file_of_unknown_length_is_known_by_its_frames_numbers() -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 40 * 16000).astype(np.float32)
    flac = bytearray(encode(noise, 16000, "FLAC"))
    flac[21:26] = bytes([flac[21] & 0xF0, 0, 0, 0, 0])
    assert decode(bytes(flac), "a.flac", 16000).damage == ()
    middle = len(flac) // 2
    flac[middle : middle + 30000] = bytes(30000)
    audio = decode(bytes(flac), "a.flac", 16000)
    assert len(audio.waveform) < len(noise)
    assert [one.reason for one in audio.damage] == ["damaged"]
