"""DICOM: pydicom's own published test files, and files with known values; without pydicom a sentence that says so."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verl_medu1.data.images.decode import decode
from verl_medu1.data.images.encode import encode
from verl_medu1.data.images.words import FIRST_FRAME, WINDOWED, ImageFault

pydicom = pytest.importorskip("pydicom", reason="the extra dicom is not installed")

PATIENT = "Lovelace^Ada"
PUBLISHED = Path(pydicom.__file__).parent / "data" / "test_files"


def dicom(values: np.ndarray, **elements: object) -> bytes:
    """A DICOM file of gray values."""
    file = pydicom.Dataset()
    file.SOPClassUID, file.SOPInstanceUID = pydicom.uid.SecondaryCaptureImageStorage, "1.2.3"
    file.PatientName = PATIENT
    file.Rows, file.Columns = values.shape[-2:]
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.BitsAllocated = file.BitsStored = values.dtype.itemsize * 8
    file.HighBit, file.PixelRepresentation = file.BitsStored - 1, int(values.dtype.kind == "i")
    file.PixelData = values.tobytes()
    for name, value in elements.items():
        setattr(file, name, value)
    file.file_meta = pydicom.dataset.FileMetaDataset()
    file.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    written = io.BytesIO()
    pydicom.dcmwrite(written, file, enforce_file_format=True)
    return written.getvalue()


VALUES = np.array([[0, 1000], [2000, 3000]], np.uint16)
WINDOW = {"WindowCenter": 1500.5, "WindowWidth": 1001}  # 1000 is black and 2000 white
SCAN = dicom(VALUES, **WINDOW)


@pytest.mark.parametrize(
    ("elements", "shown"),
    [
        (WINDOW, [0, 0, 255, 255]),
        ({"WindowCenter": [1500.5, 40], "WindowWidth": [1001, 80]}, [0, 0, 255, 255]),
        ({**WINDOW, "PhotometricInterpretation": "MONOCHROME1"}, [255, 255, 0, 0]),
        # Hounsfield units: 1000 is stored for water.
        ({"RescaleSlope": 1, "RescaleIntercept": -1000, "WindowCenter": 500.5, "WindowWidth": 1001}, [0, 0, 255, 255]),
        ({"WindowCenter": 1500.5, "WindowWidth": 3001}, [0, 85, 170, 255]),
        ({"WindowCenter": 5, "WindowWidth": 0}, [0, 84, 170, 255]),
        ({}, [0, 84, 170, 255]),
    ],
)
def test_gray_values_are_rescaled_and_windowed(elements, shown):
    decoded = decode(dicom(VALUES, **elements))
    assert np.abs(np.asarray(decoded.image)[..., 0].ravel().astype(int) - shown).max() <= 1
    assert decoded.notes == {WINDOWED} and decoded.image.mode == "RGB"


def test_padding_is_black_and_does_not_count():
    values = np.array([[0, 1000], [63000, 3000]], np.uint16)
    shown = np.asarray(decode(dicom(values, PixelPaddingValue=63000)).image)[..., 0]
    assert shown.ravel().tolist()[2] == 0 and shown[0, 0] == 0 and shown[1, 1] == 255 and 80 < shown[0, 1] < 90


def test_colours_have_the_bits_that_are_stored():
    pixels = np.array([[[0, 0, 0], [4095, 2048, 0]]], np.uint16)
    elements = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0, "BitsStored": 12}
    data = dicom(pixels[..., 0], **elements, HighBit=11, PixelData=pixels.tobytes())
    assert np.asarray(decode(data).image)[0, 1].tolist() == [255, 128, 0]


def test_of_several_frames_the_first_is_taken():
    frames = np.stack([np.full((4, 4), 10, np.uint8), np.full((4, 4), 200, np.uint8)])
    decoded = decode(dicom(frames, NumberOfFrames=2, WindowCenter=100.5, WindowWidth=201))
    assert FIRST_FRAME in decoded.notes and np.asarray(decoded.image).max() < 20


def test_nothing_of_the_patient_is_written():
    data = dicom(VALUES)
    assert PATIENT.encode() in data and PATIENT.encode() not in encode(decode(data))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (dicom(VALUES, Rows=60_000, Columns=60_000), "more than 50 million pixels"),
        (dicom(VALUES, Rows=2000, Columns=2000), "broken or packed in an unknown way"),
        (dicom(VALUES)[:-3], "broken or packed in an unknown way"),
        (dicom(VALUES)[:140], "DICOM"),
        (b"\0" * 128 + b"DICM" + b"\xff" * 40, "DICOM"),
        # The transfer syntax may stand behind elements of any length.
        (b"\0" * 128 + b"DICM" + b"\0" * 9000 + b"1.2.840.10008.1.2.1.99", "deflated DICOM"),
    ],
)
def test_broken_files_are_refused(data, reason):
    with pytest.raises(ImageFault, match=reason) as error:
        decode(data)
    assert "\n" not in str(error.value) and PATIENT not in str(error.value)


def test_published_files_are_shown_or_refused_in_one_sentence():
    shown, refused = {}, {}
    for path in sorted(PUBLISHED.glob("*.dcm")):
        try:
            shown[path.name] = decode(path.read_bytes())
        except ImageFault as fault:
            refused[path.name] = str(fault)
    assert all("\n" not in message for message in refused.values())
    # Each of these is the same scan in another transfer syntax.
    scans = [np.asarray(decoded.image) for name, decoded in shown.items() if name.startswith("MR_small")]
    assert len(scans) >= 5 and all(np.array_equal(scan, scans[0]) for scan in scans)
    assert {"CT_small.dcm", "JPEG2000.dcm", "examples_palette.dcm", "examples_ybr_color.dcm"} <= shown.keys()
    assert "deflated" in refused["image_dfl.dcm"] and "without an image" in refused["waveform_ecg.dcm"]


@settings(max_examples=100)
@given(st.data())
def test_whatever_the_bytes_are_there_is_an_image_or_one_sentence(data):
    broken = bytearray(SCAN)
    for place, value in data.draw(
        st.lists(st.tuples(st.integers(132, len(broken) - 1), st.integers(0, 255)), min_size=1, max_size=8)
    ):
        broken[place] = value
    try:
        assert decode(bytes(broken)).image.mode == "RGB"
    except ImageFault as fault:
        assert "\n" not in str(fault)


def test_without_pydicom_the_way_out_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydicom", None)  # what Python has for a package that is not there
    with pytest.raises(ImageFault, match=r"pip install verl-medu1\[dicom\]"):
        decode(SCAN)
