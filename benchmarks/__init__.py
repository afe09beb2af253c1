"""Speed and accuracy beside other libraries, as ratios in one run."""
