"""placeholder"""

from typing import Annotated

Duration = Annotated[float, "s"]
Bandwidth = Annotated[float, "bytes/s"]
