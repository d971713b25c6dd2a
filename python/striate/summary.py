"""The table of a model's layers, for people who read it in a terminal or a notebook."""

from __future__ import annotations

import html

_COLUMNS = ("layer", "type", "shape", "parameters", "bytes", "multiply-adds", "convolution")
_NUMBERS = range(3, 6)  # columns that are set to the right


def _shape(dims):
    names = ["N" if i == 0 else "?" for i in range(len(dims))]
    return "[" + ", ".join(n if d is None else str(d) for n, d in zip(names, dims)) + "]"


class Summary:
    """Rows of {layer, type, shape, params, bytes, macs, [convolution]} and their totals.

    `convolution` maps each operation of a layer, such as conv2d_backward_weight, to its method.
    """

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
                ", ".join(dict.fromkeys(row.get("convolution", {}).values())),
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
                cell.rjust(width) if i in _NUMBERS else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row, widths))
            ]
            return "  ".join(cells).rstrip()

        rule = "-" * (sum(widths) + 2 * len(widths) - 2)
        head = f"Model '{self.data['name']}'"
        return "\n".join([head, rule, line(_COLUMNS), rule, *map(line, rows), rule, self._totals()])

    def _repr_html_(self):
        def cells(row, tag):
            return "".join(
                f'<{tag} style="text-align:{"right" if i in _NUMBERS else "left"}">'
                f"{html.escape(cell)}</{tag}>"
                for i, cell in enumerate(row)
            )

        body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in self._rows())
        return (
            f"<table><caption>{html.escape(self.data['name'])}</caption>"
            f"<thead><tr>{cells(_COLUMNS, 'th')}</tr></thead><tbody>{body}</tbody></table>"
            f"<p>{html.escape(self._totals())}</p>"
        )
