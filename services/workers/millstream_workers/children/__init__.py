"""The children of running jobs: submitted, read and waited for, in this worker and from handler processes."""
