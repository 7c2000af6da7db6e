"""The checks of `doctor`: each module looks at one side of the way that a job takes, and changes nothing there."""
