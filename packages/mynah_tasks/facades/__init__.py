"""The task engine under the names that users of its five predecessors know."""

from mynah_tasks.facades.employees import EmployeePool, WorkFailed
from mynah_tasks.facades.jobs import JobManager, get_job_manager
from mynah_tasks.facades.processor import AdvancedAsyncProcessor, TaskManager, create_processor
from mynah_tasks.facades.queue import AsyncTaskQueue
from mynah_tasks.facades.recognition import Ears
from mynah_tasks.facades.task_queue import TaskQueue
from mynah_tasks.facades.voice import EnhancedVoiceEngine
from mynah_tasks.facades.voice_cache import VoiceCache
from mynah_tasks.facades.voice_queue import AsyncVoiceQueue
from mynah_tasks.facades.voice_task import VoiceTask

__all__ = [
    "AdvancedAsyncProcessor",
    "AsyncTaskQueue",
    "AsyncVoiceQueue",
    "Ears",
    "EmployeePool",
    "EnhancedVoiceEngine",
    "JobManager",
    "TaskManager",
    "TaskQueue",
    "VoiceCache",
    "VoiceTask",
    "WorkFailed",
    "create_processor",
    "get_job_manager",
]
