"""The palette of Pascal VOC, in which many tools draw masks."""


def voc_colour(value: int) -> tuple[int, int, int]:
    """Red, green and blue of a number, 0 ... 255.

    The bits of the number, by threes from the lowest, are those of the three colours, from the highest down.
    """
    red, green, blue = (sum((value >> 3 * step + channel & 1) << 7 - step for step in range(3)) for channel in range(3))
    return red, green, blue
