"""Medians, ratios, goals, and the table in docs/performance.md."""
import statistics

BEGIN, END = "<!-- measured: written by ./dev bench --write -->", "<!-- end of measured -->"


def short(value):
    if value is None:
        return "–"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.3g}"


def spread(values):
    """median (least–most)"""
    if not values:
        return "–"
    if len(values) == 1:
        return short(values[0])
    return f"{short(statistics.median(values))} ({short(min(values))}–{short(max(values))})"


def values(suite, target, figure):
    return [round_[target][figure] for round_ in suite["rounds"] if figure in round_.get(target, {})]


def ratios(suite, figure, target, against):
    return [round_[target][figure] / round_[against][figure] for round_ in suite["rounds"]
            if round_.get(against, {}).get(figure) and figure in round_.get(target, {})]


def judge(suite, goal):
    """(what was compared, its text, whether the goal is met; None: not measured)"""
    sign = "≥" if goal["least"] else "≤"
    if goal["against"]:
        got = ratios(suite, goal["figure"], "jackdaw", goal["against"])
        wanted = f"{sign} {goal['limit']:g} × {goal['against']}"
    else:
        got = values(suite, "jackdaw", goal["figure"])
        wanted = f"{sign} {goal['limit']:,g}"
    if not got:
        return got, wanted, None
    middle = statistics.median(got)
    return got, wanted, middle >= goal["limit"] if goal["least"] else middle <= goal["limit"]


def verdicts(suite):
    """One line per goal: title, wanted, got, verdict."""
    titles = {figure["name"]: figure["title"] for figure in suite["figures"]}
    judged = [(goal, *judge(suite, goal)) for goal in suite["goals"]]
    met_words = {goal["either"] for goal, _, _, met in judged if goal["either"] and met}
    lines = []
    for goal, got, wanted, met in judged:
        if met is None:
            said = "not measured"
        elif met:
            said = "met"
        elif goal["either"] in met_words:
            said = "not met, but the other is, and one is enough"
        else:
            said = "**missed**"
        lines.append((titles[goal["figure"]], wanted, spread(got), said))
    return lines


def suite_text(name, suite):
    targets = [target for target in suite["targets"] if any(target in round_ for round_ in suite["rounds"])]
    out = [f"### {name}: {suite['title']}", ""]
    kept = len(suite["rounds"])
    out.append(f"{kept} round{'s' if kept != 1 else ''}; {suite['dropped']} dropped for other load, {suite['failed']} "
               "failed. Other load in those kept: " + (spread([round_["other_share"] for round_ in suite["rounds"]]) if kept else "–") + ".")
    if suite.get("settings"):
        out.append("Both with " + ", ".join(f"`{setting}`" for setting in suite["settings"]) + ".")
    for target, why in suite["not_measured"].items():
        out.append(f"Not measured: {target} ({why}).")
    out.append("")
    if targets:
        compared = [target for target in ("floor", "kafka") if "jackdaw" in targets and target in targets]
        out.append("| median (least–most) | " + " | ".join(targets) + " | " + "".join(f"Jackdaw ÷ {target} | " for target in compared))
        out.append("|---|" + "---|" * (len(targets) + len(compared)))
        for figure in suite["figures"]:
            cells = [spread(values(suite, target, figure["name"])) for target in targets]
            cells += [spread(ratios(suite, figure["name"], "jackdaw", target)) for target in compared]
            out.append(f"| {figure['title']} | " + " | ".join(cells) + " |")
        out.append("")
    judged = verdicts(suite)
    if judged:
        out += ["| goal | wanted | got | |", "|---|---|---|---|"]
        out += [f"| {title} | {wanted} | {got} | {said} |" for title, wanted, got, said in judged]
        out.append("")
    return out


def text(results):
    out = []
    for name, suite in results["suites"].items():
        out += suite_text(name, suite)
    out += ["### Machine and versions", ""]
    out += [f"* {key}: {value}" for key, value in results["machine"].items()]
    out.append(f"* measured: {results['when']}, {results['rounds_asked']} rounds asked for; rounds with other load above "
               f"{results['limit_share']:g} of the machine are dropped")
    out += ["", "### Both sides' settings", ""]
    for name, target in results["targets"].items():
        out.append(f"* **{name}** — {target['about']}: `{target['command'].strip()}`")
    out += ["", "### Commands of the load", ""]
    out += [f"* {what}: `{command}`" for what, command in results["commands"].items()]
    return "\n".join(line.rstrip() for line in out) + "\n"


def merge(runs):
    """Several runs as one: of each suite, target and command the last."""
    merged = dict(runs[-1])
    for part in ("suites", "targets", "commands"):
        merged[part] = {name: value for run in runs for name, value in run[part].items()}
    merged["when"] = ", ".join(dict.fromkeys(run["when"] for run in runs))
    return merged


def write(path, results):
    """Replace what stands between the two marks."""
    page = path.read_text()
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    path.write_text(before + BEGIN + "\n\n" + text(results) + "\n" + END + after)
