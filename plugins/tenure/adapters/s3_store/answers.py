"""What an S3 server's refusals mean, in words for people."""

from collections.abc import Iterator
from contextlib import contextmanager

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection

from tenure.errors import NotPermitted, ServiceUnreachable
from tenure.ports import missing_object

_ABSENT = {"404", "NoSuchKey", "NotFound"}
_REFUSED = {"401", "403"}


@contextmanager
def speaking(bucket: str, key: str) -> Iterator[None]:
    """Turn boto3's errors into errors for people.

    Raises:
        ObjectMissing: There is no such object.
        FileExistsError: The condition of a put did not hold.
        NotPermitted: The server refuses these credentials.
        ServiceUnreachable: Everything else; it may heal.
    """
    try:
        yield
    except ClientError as error:
        raise _translated(bucket, key, error) from error
    except Boto3Error as error:  # of a file in parts; the answer that ended it is its context
        answer = error.__context__
        if isinstance(answer, ClientError):
            raise _translated(bucket, key, answer) from error
        raise _unreachable(bucket, key, type(error).__name__) from error
    except (NoConnection, HTTPClientError) as error:
        raise _unreachable(bucket, key, type(error).__name__) from error
    except BotoCoreError as error:
        raise _unreachable(bucket, key, str(error)) from error


def _translated(bucket: str, key: str, error: ClientError) -> Exception:
    """What the server's answer means."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    if code in _ABSENT:
        return missing_object(key)
    if "412" in {code, status}:
        return FileExistsError(key)
    if status in _REFUSED:
        return _refused(bucket, key, f"{status} {code}")
    return _unreachable(bucket, key, f"{status} {code}")


def _refused(bucket: str, key: str, cause: str) -> NotPermitted:
    return NotPermitted(
        f"The object store s3://{bucket} refuses {key[:80]}: {cause[:120]}.",
        still_safe="Nothing was written, changed or deleted by this request.",
        next_step="Give the credentials of the store's connection the right to list, read, "
        "write and delete below its prefix, then clear the task.",
    )


def _unreachable(bucket: str, key: str, cause: str) -> ServiceUnreachable:
    return ServiceUnreachable(
        f"The object store s3://{bucket} does not serve {key[:80]}: {cause[:120]}.",
        still_safe="An object is there whole or not at all; nothing was half written.",
        next_step="The task tries again by itself. If it lasts, check endpoint, credentials "
        "and bucket of the store's connection.",
    )
