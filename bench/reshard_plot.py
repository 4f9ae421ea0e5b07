"""Peak memory against the size of a checkpoint, as an SVG without dependencies."""

WIDTH, HEIGHT, LEFT, BOTTOM = 640, 360, 70, 50
COLOURS = ["#1f6feb", "#d1242f"]


def ticks(largest):
    """Round numbers from 0 to just beyond `largest`, about five."""
    step = next(step for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if largest / step <= 6)
    return [step * n for n in range(int(largest / step) + 2)]


def svg(curves):
    """curves: {label: [(bytes, MiB)]}."""
    points = [point for curve in curves.values() for point in curve]
    across = ticks(max(size for size, _ in points) / 1e9)
    up = ticks(max(peak for _, peak in points) / 1024)

    def x(gigabytes):
        return LEFT + gigabytes / across[-1] * (WIDTH - LEFT - 20)

    def y(gibibytes):
        return HEIGHT - BOTTOM - gibibytes / up[-1] * (HEIGHT - BOTTOM - 20)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
             'font-family="sans-serif" font-size="13">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for tick in across:
        parts.append(f'<text x="{x(tick):.0f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">'
                     f'{tick:g}</text>')
    for tick in up:
        parts.append(f'<path d="M{LEFT} {y(tick):.1f}H{WIDTH - 20}" stroke="#ddd"/>'
                     f'<text x="{LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">checkpoint, GB</text>'
                 f'<text x="16" y="{HEIGHT / 2}" text-anchor="middle" '
                 f'transform="rotate(-90 16 {HEIGHT / 2})">peak resident memory, GiB</text>')
    for colour, (label, curve) in zip(COLOURS, curves.items()):
        at = [(x(size / 1e9), y(peak / 1024)) for size, peak in curve]
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in at)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4" fill="{colour}"/>' for a, b in at]
        parts.append(f'<text x="{at[-1][0] - 8:.1f}" y="{at[-1][1] - 10:.1f}" text-anchor="end" '
                     f'fill="{colour}">{label}</text>')
    return "\n".join([*parts, "</svg>", ""])
