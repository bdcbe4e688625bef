"""Names beside the points of a plot, none on another.

Points are (x, y, name, style): x and y in axes coordinates, style what matplotlib's annotate takes.
"""
from reports import plot

_LEADER = {"arrowstyle": "-", "lw": 0.4, "color": plot.COLOURS[4], "shrinkA": 1, "shrinkB": 2}


def spread_apart(wanted, gap, low, high):
    """Positions as near to those wanted as they can be with `gap` between them, in the same order
    of size, within low .. high if there is room."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    # Without the gaps below it each position may be at least that of the one before: what is out
    # of order is pooled at its mean (isotonic regression; Ayer et al. 1955).
    pools = []
    for k, i in enumerate(order):
        pools.append([wanted[i] - k * gap, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, count = pools.pop()
            total = pools[-1][1] + count
            pools[-1] = [(pools[-1][0] * pools[-1][1] + mean * count) / total, total]
    flat = [mean for mean, count in pools for _ in range(count)]
    room = max(high - (len(order) - 1) * gap, low)
    result = [0.0] * len(wanted)
    for k, i in enumerate(order):
        result[i] = min(max(flat[k], low), room) + k * gap
    return result


def column(axes, points, at):
    """Names in a column right of the plot, each with a thin line to its point. `at`: x of the column, in
    axes coordinates."""
    heights = spread_apart([point[1] for point in points], 0.047, 0.0, 1.0)
    for (x, y, name, style), height in zip(points, heights):
        axes.annotate(
            name, xy=(x, y), xytext=(at, height), xycoords="axes fraction",
            textcoords="axes fraction", va="center", ha="left", annotation_clip=False,
            arrowprops=_LEADER, **style)


# Where a name may stand: pixels right of and above its point, and how it is aligned there.
_PLACES = [(7, 0, "left", "center"), (-7, 0, "right", "center"), (0, 7, "center", "bottom"),
           (0, -7, "center", "top"), (5, 6, "left", "bottom"), (5, -6, "left", "top"),
           (-5, 6, "right", "bottom"), (-5, -6, "right", "top"),
           (0, 20, "center", "bottom"), (0, -20, "center", "top"), (14, 18, "left", "bottom"),
           (14, -18, "left", "top"), (-14, 18, "right", "bottom"), (-14, -18, "right", "top"),
           (0, 34, "center", "bottom"), (0, -34, "center", "top")]


def _label_box(label, renderer):
    """The box of its words; get_window_extent of an annotation counts its leader as well."""
    from matplotlib.text import Text
    label.update_positions(renderer)
    return Text.get_window_extent(label, renderer)


def beside(axes, points, bars):
    """Names right beside their points where there is room, else in a column. `bars`: (low, high) of
    the points' x, in axes coordinates."""
    from matplotlib import transforms
    renderer = axes.figure.canvas.get_renderer()
    to_pixels = axes.transAxes
    taken = []
    for x, y, _, _ in points:
        px, py = to_pixels.transform((x, y))
        taken.append(transforms.Bbox.from_bounds(px - 4, py - 4, 8, 8))
    for (_, y, _, _), (low, high) in zip(points, bars):
        left, py = to_pixels.transform((low, y))
        right, _ = to_pixels.transform((high, y))
        taken.append(transforms.Bbox.from_extents(left, py - 2, right, py + 2))
    inside = axes.get_window_extent(renderer)
    crowded = []
    for i, (x, y, name, style) in enumerate(points):
        for dx, dy, ha, va in _PLACES:
            label = axes.annotate(name, xy=(x, y), xytext=(dx, dy), xycoords="axes fraction",
                                  textcoords="offset pixels", ha=ha, va=va, annotation_clip=False,
                                  arrowprops=_LEADER if max(abs(dx), abs(dy)) > 10 else None,
                                  **style)
            box = _label_box(label, renderer)
            if (box.x0 > inside.x0 and inside.y0 < box.y0 < box.y1 < inside.y1
                    and not any(box.overlaps(other) for k, other in enumerate(taken) if k != i)):
                taken.append(box)
                break
            label.remove()
        else:
            crowded.append((x, y, name, style))
    column(axes, crowded, 1.12)
