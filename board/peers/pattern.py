"""Reads the number and the clock of the picture that `test:pattern` cameras show.

The upper quarter of the picture is 16 columns and 4 lines of blocks, black for 0 and white for 1, the first bit in the
upper left: 28 bits of the picture's number, 28 bits of milliseconds since midnight (UTC), and a CRC-8 of these seven
bytes (polynomial 0x07, beginning with 0xFF). What a coder smeared beyond reading is not a number, and says so.
"""

import io
import time

COLUMNS, LINES = 16, 4


def check(content):
    value = 0xFF
    for byte in content.to_bytes(7, "big"):
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ 0x07) & 0xFF if value & 0x80 else value << 1
    return value


def read(luma, width, height, stride=None):
    """(number, milliseconds) of a picture whose brightness is `luma`, line by line; None when it is none."""
    stride = stride or width
    bits = 0
    for line in range(LINES):
        for column in range(COLUMNS):
            left, right = width * column // COLUMNS, width * (column + 1) // COLUMNS
            top, bottom = height * line // (4 * LINES), height * (line + 1) // (4 * LINES)
            wide, tall = (right - left) // 4, (bottom - top) // 4
            total = count = 0
            for y in range(top + tall, bottom - tall):
                row = luma[y * stride + left + wide:y * stride + right - wide]
                total, count = total + sum(row), count + len(row)
            mean = total / max(count, 1)
            if 96 <= mean <= 156:
                return None
            bits = bits << 1 | (mean > 156)
    if check(bits >> 8) != bits & 0xFF:
        return None
    return bits >> 36, bits >> 8 & 0xFFFFFFF


def read_frame(frame):
    """The same of a picture that PyAV decoded to YUV 4:2:0."""
    plane = frame.planes[0]
    return read(bytes(plane), frame.width, frame.height, plane.line_size)


def read_jpeg(data):
    """The same of a still picture."""
    import av
    with av.open(io.BytesIO(data)) as file:
        return read_frame(next(file.decode(video=0)))


def age(milliseconds):
    """For how many milliseconds a picture drawn at that time of day has been on its way."""
    return (time.time() * 1000 - milliseconds) % 86_400_000


# The same in a page: `readPattern(video)` draws what the video shows on a canvas and gives {number, milliseconds} or null.
SCRIPT = """
window.readPattern = source => {
  const width = source.videoWidth || source.naturalWidth, height = source.videoHeight || source.naturalHeight;
  if (!width) return null;
  const canvas = window.patternCanvas ||= document.createElement('canvas');
  const lines = Math.ceil(height / 4);
  if (canvas.width !== width || canvas.height !== lines) { canvas.width = width; canvas.height = lines; }
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(source, 0, 0);
  const { data } = context.getImageData(0, 0, width, lines);
  const bits = [];
  for (let line = 0; line < 4; line++) for (let column = 0; column < 16; column++) {
    const left = Math.floor(width * column / 16), right = Math.floor(width * (column + 1) / 16);
    const top = Math.floor(height * line / 16), bottom = Math.floor(height * (line + 1) / 16);
    const wide = Math.floor((right - left) / 4), tall = Math.floor((bottom - top) / 4);
    let sum = 0, count = 0;
    for (let y = top + tall; y < bottom - tall; y++) for (let x = left + wide; x < right - wide; x++) {
      sum += data[(y * width + x) * 4 + 1]; count++;
    }
    const mean = sum / Math.max(count, 1);
    if (mean > 92 && mean < 164) return null;
    bits.push(mean >= 164 ? 1 : 0);
  }
  const number = (from, to) => bits.slice(from, to).reduce((value, bit) => value * 2 + bit, 0);
  let crc = 0xFF;
  for (let byte = 0; byte < 7; byte++) {
    crc ^= number(byte * 8, byte * 8 + 8);
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x80 ? crc << 1 ^ 0x07 : crc << 1) & 0xFF;
  }
  return crc === number(56, 64) ? { number: number(0, 28), milliseconds: number(28, 56) } : null;
};
"""
