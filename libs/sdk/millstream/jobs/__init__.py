"""Jobs as the code that submits them sees them: references to their types, their options, handles on them."""

from millstream.jobs.job_handle import JobHandle
from millstream.jobs.job_ref import JobRef, contract
from millstream.jobs.new_job import NewJob
from millstream.jobs.submit_options import SubmitOptions
from millstream.jobs.sync_job_handle import SyncJobHandle

__all__ = ["JobHandle", "JobRef", "NewJob", "SubmitOptions", "SyncJobHandle", "contract"]
