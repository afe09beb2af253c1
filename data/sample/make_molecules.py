"""Make molecules.npz: organic molecules of up to seven heavy atoms with computed structures and energies.

    uv venv sample-env && uv pip install -p sample-env -r data/sample/requirements.txt
    sample-env/bin/python data/sample/make_molecules.py

1. Enumerate molecules of C, N, O and S atom by atom: attach an atom, raise a bond's order, close a ring.
   Up to four heavy atoms all are kept, above that a seeded draw. RDKit, seeded.
2. One 3D structure each: ETKDGv3, then MMFF94 (UFF where MMFF94 has no parameters), rounded to 1e-4 bohr.
3. Atomization energy at that structure by GFN2-xTB (C. Bannwarth, S. Ehlert, S. Grimme, JCTC 15:1652, 2019):
   the molecule's energy minus the energies of its free atoms, in kcal/mol, negative for a bound molecule.

The arrays have QM7's layout: coordinates (n,23,3) in bohr, charges (n,23) with 0 for no atom, energies (n,)
in kcal/mol, folds (5, n/5). GFN2-xTB is no reference method: the energies teach, they do not predict.
"""

from pathlib import Path

import numpy as np
from rdkit import Chem, RDLogger
from rdkit.Chem import AllChem
from tblite.interface import Calculator
from tqdm import tqdm

SEED = 7
BOHR = 0.529177210903  # angstrom
KCAL = 627.5094740631  # kcal/mol per hartree
UNPAIRED = {1: 1, 6: 2, 7: 3, 8: 2, 16: 2}
KEPT = {5: 400, 6: 700, 7: 1200}  # molecules drawn per number of heavy atoms
GROWN = {4: 300, 5: 500, 6: 700}  # molecules per level that the next level grows from
UNWANTED = [
    Chem.MolFromSmarts(pattern)
    for pattern in (
        "[O,S]~[O,S]",  # peroxides; also keeps every O-O and S-S pair far apart
        "[#7]~[#7]~[#7]",
        "[S].[S]",
        "[#7;!$(N~C)]~[!#6]",
        "[OX2H][CX4][OX2H,NX3H2,NX3H1,SX2H]",  # lose water
        "[r3]=[*]",
        "[r4]=[r4]",
        "[R]#[*;R]",
        "[R]=[R]=[R]",
        "[*]=[*]=[*]=[*]",
        "[O,S;X2]-[C;X2]#[N,C]",
        "[#7,#8,#16]-[#7,#8,#16]-[#7,#8,#16]",
        "[r3]@[r3]@[r4]",
    )
]


def variants(molecule):
    """Every molecule one step away with as many heavy atoms: a higher bond order or a closed ring."""
    distances = Chem.GetDistanceMatrix(molecule)
    free = [atom.GetTotalNumHs() > 0 for atom in molecule.GetAtoms()]
    for i in range(len(free)):
        for j in range(i):
            if not (free[i] and free[j]):
                continue
            edited, bond = Chem.RWMol(molecule), molecule.GetBondBetweenAtoms(i, j)
            if bond is None and 2 <= distances[i, j] <= 5:
                edited.AddBond(i, j, Chem.BondType.SINGLE)
            elif bond is not None and bond.GetBondTypeAsDouble() < 3:
                single = bond.GetBondTypeAsDouble() == 1
                order = Chem.BondType.DOUBLE if single else Chem.BondType.TRIPLE
                edited.GetBondBetweenAtoms(i, j).SetBondType(order)
            else:
                continue
            yield edited


def attachments(molecule):
    """Every molecule with one more heavy atom on a single bond."""
    for atom in molecule.GetAtoms():
        for element in (6, 7, 8, 16) if atom.GetTotalNumHs() else ():
            edited = Chem.RWMol(molecule)
            edited.AddBond(atom.GetIdx(), edited.AddAtom(Chem.Atom(element)), Chem.BondType.SINGLE)
            yield edited


def smiles(molecule):
    """Canonical SMILES of a molecule that is chemically sane and wanted, else None."""
    copy = Chem.Mol(molecule)
    if Chem.SanitizeMol(copy, catchErrors=True) or any(copy.HasSubstructMatch(bad) for bad in UNWANTED):
        return None
    symbols = [atom.GetSymbol() for atom in copy.GetAtoms()]
    rings = copy.GetRingInfo().NumRings()
    if rings > 2 or 2 * symbols.count("C") < len(symbols) or symbols.count("S") > 1:
        return None
    return Chem.MolToSmiles(copy)


def parse(text):
    """The molecule of a SMILES with its aromatic bonds written as single and double ones."""
    molecule = Chem.MolFromSmiles(text)
    Chem.Kekulize(molecule, clearAromaticFlags=True)
    return molecule


def enumerate_molecules(rng):
    """Canonical SMILES per number of heavy atoms, seeded draws above four."""
    level, chosen = {"C"}, {1: ["C"]}
    for size in range(2, 8):
        found = {smiles(grown) for text in sorted(level) for grown in attachments(parse(text))} - {None}
        frontier = found
        for _ in range(3):  # up to three unsaturations or rings
            raised = {smiles(v) for text in sorted(frontier) for v in variants(parse(text))}
            frontier = raised - {None} - found
            if len(frontier) > 3000:
                frontier = set(rng.choice(sorted(frontier), 3000, replace=False).tolist())
            found |= frontier
        everything = sorted(found)
        chosen[size] = draw(everything, KEPT.get(size, len(everything)), rng)
        level = draw(everything, GROWN.get(size, len(everything)), rng)
    return chosen


def draw(texts, count, rng):
    return sorted(rng.choice(texts, min(count, len(texts)), replace=False).tolist())


def structure(text):
    """Nuclear charges (a,) and coordinates (a,3) in bohr of one relaxed structure, or None."""
    molecule = Chem.AddHs(Chem.MolFromSmiles(text))
    if molecule.GetNumAtoms() > 23:
        return None
    parameters = AllChem.ETKDGv3()
    parameters.randomSeed = SEED
    parameters.maxIterations = 50
    if AllChem.EmbedMolecule(molecule, parameters):
        return None
    if AllChem.MMFFHasAllMoleculeParams(molecule):
        failed = AllChem.MMFFOptimizeMolecule(molecule, maxIters=5000)
    else:
        failed = AllChem.UFFOptimizeMolecule(molecule, maxIters=5000)
    if failed:
        return None
    charges = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()])
    coordinates = molecule.GetConformer().GetPositions() / BOHR
    return charges, np.round(coordinates - coordinates.mean(axis=0), 4)


def total_energy(charges, coordinates, unpaired=0):
    """GFN2-xTB energy in hartree."""
    calculator = Calculator("GFN2-xTB", charges, coordinates, uhf=unpaired)
    calculator.set("verbosity", 0)
    return calculator.singlepoint().get("energy")


def stratified_folds(energies, rng):
    """(5, n/5) indices: each run of five neighbours in energy is spread over the five folds."""
    order = np.argsort(energies, kind="stable").reshape(-1, 5)
    return np.sort(rng.permuted(order, axis=1).T, axis=1)


def main(folder=Path(__file__).parent):
    """Write molecules.npz into the folder and return its path."""
    RDLogger.DisableLog("rdApp.*")
    rng = np.random.default_rng(SEED)
    chosen = enumerate_molecules(rng)
    atoms = {z: total_energy(np.array([z]), np.zeros((1, 3)), spin) for z, spin in UNPAIRED.items()}
    rows = []
    for text in tqdm([text for size in sorted(chosen) for text in chosen[size]]):
        made = structure(text)
        if made is None:
            continue
        charges, coordinates = made
        energy = KCAL * (total_energy(charges, coordinates) - sum(atoms[z] for z in charges))
        rows.append((charges, coordinates, energy))
    rows = [rows[i] for i in rng.permutation(len(rows))[: len(rows) // 5 * 5]]
    charges = np.zeros((len(rows), 23), np.uint8)
    coordinates = np.zeros((len(rows), 23, 3), np.float32)
    for row, (z, r, _) in enumerate(rows):
        charges[row, : len(z)], coordinates[row, : len(z)] = z, r
    energies = np.round([energy for *_, energy in rows], 3).astype(np.float32)
    target = Path(folder, "molecules.npz")
    folds = stratified_folds(energies, rng).astype(np.int16)
    np.savez_compressed(target, coordinates=coordinates, charges=charges, energies=energies, folds=folds)
    print(f"{len(rows)} molecules, {target.stat().st_size / 1e3:.0f} kB")
    return target


if __name__ == "__main__":
    main()
