"""Changes of the helpers that no test can or should notice, each with its reason; see mutate_helpers."""

SPEED_ALONE = {  # (module, constant): it sets speed, patience or a size of blocks, and no result
    ("softmin", "BLOCK"), ("softmin_tasks", "SIDE"), ("softmin_tasks", "BLOCK_ROWS"),
    ("molecules", "BLOCK"), ("images", "BATCH"), ("networks", "CACHED_BYTES"), ("networks", "VERSION"),
    ("files", "TIMEOUT"), ("files", "PAUSES"), ("files", "THREADS"), ("files", "STALE"),
}

ANY_VALUE = {  # arguments: any seed is as good, blocks are speed, the others only guard or word something
    "seed", "block", "batch", "threads", "strict", "stacklevel", "check_finite", "overwrite_a", "frozen",
}

LOOKS = {  # arguments that say what a figure looks like, which is not compared; seeds and guards
    "alpha", "alt", "aspect", "bbox_to_anchor", "capsize", "color", "edgecolor", "figsize",
    "fontsize", "ha", "height_ratios", "hspace", "labelsize", "linewidth", "linewidths", "lw", "markersize",
    "ms", "ncol", "pad", "path_effects", "random_state", "rotation", "s", "seed", "sharex", "sharey",
    "shrink", "size", "solid_capstyle", "squeeze", "strict", "va", "width", "width_ratios", "wspace",
    "zorder",
}  # fmt: skip

EQUIVALENT = {  # (module, line, change): reason
    ("anomalies", "lone = np.flatnonzero(total[:, coalition] < 1e-200)", "1e-200 -> 1.5e-200"):
        "no sum lies between",
    ("anomalies", "X[rows, feature[rows]] += 3 * sd[feature[rows]] * rng.choice([-1, 1], count)",
     "X[rows, feature[rows]] += 3 * sd[feature[rows]] * rng.choice -> "
     "X[rows, feature[rows]] -= 3 * sd[feature[rows]] * rng.choice"): "up and down are as likely",
    ("anomalies", "X[rows, feature[rows]] += 3 * sd[feature[rows]] * rng.choice([-1, 1], count)",
     "3 * sd[feature[rows]] * rng.choice([-1, 1], count) -> "
     "3 * sd[feature[rows]] / rng.choice([-1, 1], count)"):
        "a sign divides as it multiplies",
    ("heatmaps", "total, count = (torch.zeros_like(_at_least_float32(part)) for part in (x[:, 0], x[0, 0]))",
     "0 -> -1"):
        "only shape and type are read",
    ("heatmaps", "slopes = torch.autograd.grad(score.sum(), values, allow_unused=True)[0]", "0 -> -1"):
        "a tuple of one",
    ("heatmaps", "pixels, output = kept[0]", "0 -> -1"): "a list of one",
    ("kernels", "for some in np.array_split(rows, max(1, len(rows) // (8 * block))):",
     "len(rows) // (8 * block) -> len(rows) / (8 * block)"): "length of a block",
    ("kernels", "known, lower = lower is not None, cholesky(K, lam) if lower is None else lower",
     "lower is not None -> lower is None"): "whether a matrix of its own is copied first",
    ("anomalies",
     "rng = np.random.default_rng([seed, PLANTED.index(kind) if kind in PLANTED else 0, repeat])", "0 -> 1"):
        "an unknown kind is refused in the next line",
    ("molecules", "for start in range(0, len(energy), step := max(1, BLOCK // table.shape[1])):", "1 -> 2"):
        "length of a block",
    ("molecules", "starts = np.flatnonzero(np.diff(molecule * charges.shape[1] + center, prepend=-1))",
     "molecule * charges.shape[1] + center -> molecule * charges.shape[1] - center"):
        "two neighbours in the sorted list still differ exactly where molecule or center does",
    ("anomalies", "copies = z < 1e-200", "z < 1e-200 -> z <= 1e-200"): "no distance is exactly 1e-200",
    ("anomalies", "for coalition in np.flatnonzero((total < 1e-200).any(axis=0)):",
     "total < 1e-200 -> total <= 1e-200"): "no sum is exactly 1e-200",
    ("anomalies", "X[rows] = rng.uniform(low, high) + 0.1 * sd * rng.standard_normal((count, d))",
     "rng.uniform(low, high) + 0.1 * sd * rng.standard_normal((cou -> "
     "rng.uniform(low, high) - 0.1 * sd * rng.standard_normal((cou"): "the noise is symmetric",
    ("datasets", 'UNITS = {"Hartree": 1 / 627.5, "eV": 1 / 23.06, "kJ/mol": 4.184}  # of one kcal/mol',
     "627.5 -> 941.25"): "it words a guess, and the guess has a margin of 50 %",
    ("softmin", "return shift[..., 0] - (np.log(total[..., 0]) - np.log(count)) / gamma, weights / total",
     "0 -> -1"): "the last axis has length one there",
    ("softmin_tasks", "torch.set_num_threads(1)",
     "1 -> 2"): "speed",
    ("images", "for start in range(0, len(paths) + 2 * batch, batch):", "2 -> 3"): "one more empty round",
    ("networks", "return next(values, torch.empty(0))", "0 -> 1"):
        "only its type and device are read",
    ("files", "if len(jobs) > 1:", "1 -> 0"): "a bar for a single file, which nobody sees in tests",
    ("files", "if len(jobs) > 1:", "len(jobs) > 1 -> len(jobs) >= 1"): "the same",
    ("files", "pooch.HTTPDownloader(timeout=TIMEOUT, chunk_size=2**16)(file.address, partial, None)",
     "2 -> 1"): "speed",
    ("datasets", 'UNITS = {"Hartree": 1 / 627.5, "eV": 1 / 23.06, "kJ/mol": 4.184}  # of one kcal/mol',
     "23.06 -> 34.589999999999996"): "as for Hartree",
    ("datasets", 'return sources.locate("squeezenet1_1")[0][0]', "0 -> -1"): "a list of one path",
    ("training", "path, text = Path(path), json.dumps(config, indent=1, sort_keys=True)", "1 -> 0"):
        "how the JSON is laid out",
    ("molecules", "first, second = np.triu_indices(count.max(initial=0), 1)", "0 -> -1"):
        "without a leg there is no pair of legs",
    ("lrp", "def __init__(self, layer, gamma, negative_inputs, both_signs=False, epsilon=0.0):",
     "0.0 -> 1.0"):
        "its only caller gives every argument",
    ("anomalies", "if i + 1 < d:", "i + 1 -> i - 1"): "a product more, which nothing reads",
    ("heatmaps", "for part in weights.to(point).split(max(1, batch // len(point))):", "1 -> 2"):
        "size of a block",
    ("heatmaps", "def smooth_grad(network, direction, images, samples=25, noise=0.15, seed=0, batch=BATCH):",
     "25 -> 26"): "a choice of how many",
    ("tables",
     "share = pd.Series(relevance / max(relevance.sum(), 1e-300)).groupby(prepared.owner, sort=False).sum()",
     "1e-300 -> 1.5e-300"): "no sum lies between",
    ("tables", "whole = abs(value) < 1e15 and (abs(value) >= 1000 or value == round(value))",
     "abs(value) < 1000000000000000.0 -> abs(value) <= 1000000000000000.0"): "no value is exactly that",
    ("plots", "width = 5 if order == 1 else 3", "5 -> 6"): "how thick a bond is drawn",
    ("softmin", "return several if n >= 10_000 else 1", "1 -> 2"): "how many workers search",
    ("training", "history, best, waited, weights = [], math.inf, 0, None", "0 -> -1"):
        "the first epoch is always a new best and sets it to 0",
    ("reading", "if not mark and 4 * content.count(0) > len(content) > 0:", "4 -> 5"):
        "a guess with a margin: of such a file half is zero",
    ("reading", "if not mark and 4 * content.count(0) > len(content) > 0:", "0 -> -1"):
        "an empty file has no zero byte either",
    ("softmin_tasks", 'scale, height = gamma / np.log(2), BLOCK_ROWS if device == "cpu" else SIDE',
     "device == 'cpu' -> device != 'cpu'"): "speed",
    ("softmin_tasks", "X = X - X.mean(axis=0)  # short rows, small rounding errors",
     "X - X.mean(axis=0) -> X + X.mean(axis=0)"): "speed: rows far from the origin are done in float64",
    ("predictor", "KNOTS = np.linspace(1.5, 8, 24), np.linspace(-1, 1, 8), np.linspace(1.8, 7, 6)  "
     "# bohr, cosine, bohr", "24 -> 23"): "a choice of how fine; 42 prints the error that it gives",
    ("datasets", "if values.ndim != 2 or values.max(initial=0) > 2:", "0 -> 1"): "2 is allowed",
    ("lrp", "size = z.square().mean(tuple(range(1, z.ndim)), keepdim=True).sqrt() if self.epsilon else 0.0",
     "0.0 -> 1.0"): "it is multiplied by an epsilon of 0",
    ("networks", "return digest.hexdigest()[:24]", "24 -> 25"): "length of a file's name",
    ("figures",
     "found[np.abs(found) < max(1e-6 * np.abs(values).max(), 1e-12)] = 0  # what rounding leaves of a zero",
     "1e-12 -> 1.5e-12"): "nothing that is drawn lies between",
    ("figures",
     "found[np.abs(found) < max(1e-6 * np.abs(values).max(), 1e-12)] = 0  # what rounding leaves of a zero",
     "np.abs(found) < max(1e-06 * np.abs(values).max(), 1e-12) -> "
     "np.abs(found) <= max(1e-06 * np.abs(values).max(), 1e-12)"): "nothing is exactly that",
    ("predictor", "NEAREST = 20  # leading axes in which the nearest training atom is sought", "20 -> 21"):
        "a choice of how many",
    ("predictor", "if min(nearest) < TOO_NEAR:", "min(nearest) < TOO_NEAR -> min(nearest) <= TOO_NEAR"):
        "no length is exactly that",
    ("predictor", "most = 1 + np.bincount(of_tree).max()  # so that one of them is of another molecule",
     "1 -> 2"): "a further neighbour is no nearer",
    ("reading",
     r'if units and all(re.match(r"[^\W\d]|[%°\[(]", str(first[name].iloc[0])) for name in first):',
     "0 -> -1"): "a frame of one row",
    ("molecules", "atoms = 1 + max(all_pairs.first.max(initial=0), all_pairs.second.max(initial=0))",
     "0 -> 1"): "a wider stride keeps the atoms apart as well",
    ("graphs", "for part in rows[torch.argsort(sizes[rows], stable=True)].split(batch)]", "True -> False"):
        "it orders molecules of one size alone",
}
