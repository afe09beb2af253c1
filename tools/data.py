"""Find and verify every data file that the notebooks need, and download what is missing."""

from helpers import datasets

if __name__ == "__main__":
    print(datasets.describe().to_string(index=False))
