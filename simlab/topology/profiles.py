"""Kinds of network by name, for links. Figures are published ones where there are any.

A link's first site is where people would put the customer: the first direction is *up*, ``back`` is *down*.

==========  ==========================================================================================================
lan         1000BASE-T (IEEE 802.3 clause 40); 0.2 ms for a few switches, our own choice.
metro       100 km of fibre at 5 us/km (ITU-T G.114 table A.1) and as much again for equipment; Gigabit Ethernet.
dsl         ADSL2+, 1.4 Mbit/s up and 24 Mbit/s down over a short line (ITU-T G.992.5 annex A); 15 ms, of the order
            of the DSL round trips in the FCC's reports "Measuring Broadband America".
4g          Averages of five British cities: 13.6 Mbit/s up, 14.7 Mbit/s down, 53.1 ms round trip (Ofcom, "Measuring
            mobile broadband performance in the UK", April 2015).
satellite   Geostationary: 260 ms one way (ITU-T G.114 table A.1); 3 Mbit/s up, 25 Mbit/s down (the FCC's benchmark
            of broadband, 2015 Broadband Progress Report).
vpn         Through the Internet within Europe: a round trip of 30 ms, as Verizon's service level agreement grants;
            100 Mbit/s is our own choice.
==========  ==========================================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

ProfileName: TypeAlias = Literal["lan", "metro", "dsl", "4g", "satellite", "vpn"]

PROFILES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "lan": {"latency": "0.2 ms", "bandwidth": "1 Gbit/s"},
        "metro": {"latency": "1 ms", "bandwidth": "1 Gbit/s"},
        "dsl": {"latency": "15 ms", "bandwidth": "1.4 Mbit/s", "back": {"bandwidth": "24 Mbit/s"}},
        "4g": {"latency": "26.55 ms", "bandwidth": "13.6 Mbit/s", "back": {"bandwidth": "14.7 Mbit/s"}},
        "satellite": {"latency": "260 ms", "bandwidth": "3 Mbit/s", "back": {"bandwidth": "25 Mbit/s"}},
        "vpn": {"latency": "15 ms", "bandwidth": "100 Mbit/s"},
    }
)
"""Keys of a link, as in a topology file."""


def with_profile(link: Mapping[str, Any]) -> dict[str, Any]:
    """Return a link's keys with those of its profile put under them. What it says itself holds for both directions."""
    name = link.get("profile")
    profile = PROFILES.get(name, {}) if isinstance(name, str) else {}
    own_back = link.get("back", {})
    if not isinstance(own_back, Mapping):
        return dict(link)
    back = {key: value for key, value in profile.get("back", {}).items() if key not in link} | dict(own_back)
    figures = {key: value for key, value in profile.items() if key != "back"}
    return {**figures, **link, **({"back": back} if back else {})}
