"""The table of a model's layers, for people who read it in a terminal or a notebook."""

from __future__ import annotations

import html

_COLUMNS = ("layer", "type", "shape", "parameters", "bytes", "multiply-adds")


def _shape(dims):
    names = ["N" if i == 0 else "?" for i in range(len(dims))]
    return "[" + ", ".join(n if d is None else str(d) for n, d in zip(names, dims)) + "]"


class Summary:
    """Rows of {layer, type, shape, params, bytes, macs} and their totals."""

    def __init__(self, data):
        self.data = data

    def _rows(self):
        for row in self.data["layers"]:
            name = row["layer"] + (" (frozen)" if row.get("frozen") else "")
            yield (
                name,
                row["type"],
                _shape(row["shape"]),
                f"{row['params']:,}",
                f"{row['bytes']:,}",
                f"{row['macs']:,}",
            )

    def _totals(self):
        data = self.data
        return (
            f"{data['params']:,} parameters ({data['trainable_params']:,} trained), "
            f"{data['bytes']:,} bytes, {data['macs']:,} multiply-adds a sample"
        )

    def __str__(self):
        rows = list(self._rows())
        widths = [max(len(row[i]) for row in [_COLUMNS, *rows]) for i in range(len(_COLUMNS))]

        def line(row):
            cells = [
                cell.ljust(width) if i < 3 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths))
            ]
            return "  ".join(cells).rstrip()

        rule = "-" * (sum(widths) + 2 * len(widths) - 2)
        head = f"Model '{self.data['name']}'"
        return "\n".join([head, rule, line(_COLUMNS), rule, *map(line, rows), rule, self._totals()])

    def _repr_html_(self):
        def cells(row, tag):
            sides = ["left"] * 3 + ["right"] * (len(_COLUMNS) - 3)
            return "".join(
                f'<{tag} style="text-align:{side}">{html.escape(cell)}</{tag}>'
                for side, cell in zip(sides, row)
            )

        body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in self._rows())
        return (
            f"<table><caption>{html.escape(self.data['name'])}</caption>"
            f"<thead><tr>{cells(_COLUMNS, 'th')}</tr></thead><tbody>{body}</tbody></table>"
            f"<p>{html.escape(self._totals())}</p>"
        )
