"""Many video files through one bundle, on this machine or on a cluster: every file is a job."""
