"""Abbreviations of time zones: PostgreSQL's default set (manual, appendix B.4).

Most stand for an offset. Some were given to other offsets over the years: they stand for what their zone called so last
before the moment in question, or first after it.
"""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

_FIXED = """
ACDT:37800D ACSST:37800D ACST:34200 ACT:-18000 ACWST:31500 ADT:-10800D AEDT:39600D AESST:39600D AEST:36000 AFT:16200
AKDT:-28800D AKST:-32400 ALMST:25200D ALMT:21600 AMT:-14400 AST:-14400 AWSST:32400D AWST:28800 AZOST:0D AZOT:-3600
BDST:7200D BDT:21600 BNT:28800 BORT:28800 BOT:-14400 BRA:-10800 BRST:-7200D BRT:-10800 BST:3600D BTT:21600
CADT:37800D CAST:34200 CCT:28800 CDT:-18000D CEST:7200D CET:3600 CETDST:7200D CHADT:49500D CHAST:45900 CHUT:36000
CLST:-10800D COT:-18000 CST:-21600 CXT:25200 DDUT:36000 EAT:10800 EDT:-14400D EEST:10800D EET:7200 EETDST:10800D
EGST:0D EGT:-3600 EST:-18000 FET:10800 FJST:46800D FJT:43200 FNST:-3600D FNT:-7200 GALT:-21600 GAMT:-32400
GFT:-10800 GILT:43200 GMT:0 HKT:28800 HST:-36000 ICT:25200 IDT:10800D IRT:12600 IST:7200 JAYT:32400 JST:32400
KDT:36000D KGST:21600D KST:32400 LHST:37800 LIGT:36000 MART:-34200 MDT:-21600D MEST:7200D MESZ:7200D MET:3600
METDST:7200D MEZ:3600 MHT:43200 MMT:23400 MPT:36000 MSD:14400D MST:-25200 MUST:18000D MUT:14400 MVT:18000 MYT:28800
NDT:-9000D NFT:-12600 NPT:20700 NST:-12600 NZDT:46800D NZST:43200 NZT:43200 PDT:-25200D PET:-18000 PGT:36000
PHT:28800 PKST:21600D PKT:18000 PMDT:-7200D PMST:-10800 PONT:39600 PST:-28800 PWT:32400 PYST:-10800D RET:14400
SADT:37800D SAST:7200 SCT:14400 TAHT:-36000 TFT:18000 TJT:18000 TOT:46800 TRUT:36000 TVT:43200 UCT:0 ULAST:32400D
UT:0 UTC:0 UYST:-7200D UYT:-10800 UZST:21600D UZT:18000 VUT:39600 WADT:28800D WAKT:43200 WAST:25200 WAT:3600
WDT:32400D WET:0 WETDST:3600D WFT:43200 WGST:-7200D WGT:-10800 XJT:21600 YAPT:36000 YEKST:21600D Z:0 ZULU:0
"""
_CHANGING = """
AMST:Asia/Yerevan ANAST:Asia/Anadyr ANAT:Asia/Anadyr ARST:America/Argentina/Buenos_Aires
ART:America/Argentina/Buenos_Aires AZST:Asia/Baku AZT:Asia/Baku CKT:Pacific/Rarotonga CLT:America/Santiago
DAVT:Antarctica/Davis EASST:Pacific/Easter EAST:Pacific/Easter FKST:Atlantic/Stanley FKT:Atlantic/Stanley
GEST:Asia/Tbilisi GET:Asia/Tbilisi GYT:America/Guyana IOT:Indian/Chagos IRKST:Asia/Irkutsk IRKT:Asia/Irkutsk
KGT:Asia/Bishkek KOST:Pacific/Kosrae KRAST:Asia/Krasnoyarsk KRAT:Asia/Krasnoyarsk LHDT:Australia/Lord_Howe
LINT:Pacific/Kiritimati LKT:Asia/Colombo MAGST:Asia/Magadan MAGT:Asia/Magadan MAWT:Antarctica/Mawson
MSK:Europe/Moscow NOVST:Asia/Novosibirsk NOVT:Asia/Novosibirsk NUT:Pacific/Niue OMSST:Asia/Omsk OMST:Asia/Omsk
PETST:Asia/Kamchatka PETT:Asia/Kamchatka PYT:America/Asuncion SGT:Asia/Singapore TKT:Pacific/Fakaofo
TMT:Asia/Ashgabat ULAT:Asia/Ulaanbaatar VET:America/Caracas VLAST:Asia/Vladivostok VLAT:Asia/Vladivostok
VOLT:Europe/Volgograd YAKST:Asia/Yakutsk YAKT:Asia/Yakutsk YEKT:Asia/Yekaterinburg
"""


def _read() -> dict[str, tuple[int, bool]]:
    found = {}
    for entry in _FIXED.split():
        name, offset = entry.split(":")
        found[name.lower()] = int(offset.rstrip("D")), offset.endswith("D")
    return found


OFFSETS: Final = _read()
"""Lower case → (seconds east of UTC, whether it is daylight-saving time)."""
ZONES: Final = {name.lower(): zone for name, zone in (entry.split(":", 1) for entry in _CHANGING.split())}
"""Lower case → the zone that it belongs to."""
_STEP: Final = timedelta(days=91)
_STEPS_MAX: Final = 1200
_FIRST: Final = datetime(1800, 1, 1)
_LAST: Final = datetime(2100, 1, 1)
_KNOWN_MAX: Final = 4096


class AbbreviatedZone(tzinfo):
    """What an abbreviation stands for at a time: the offset that its zone had when it last was called so."""

    def __init__(self, name: str, zone: zoneinfo.ZoneInfo) -> None:
        self._name, self._zone = name, zone
        self._known: dict[tuple[int, int], timedelta | None] = {}

    def _named(self, instant: datetime) -> timedelta | None:
        """The offset under that name, last before the instant (UTC, naive) or first after it; None where it never
        was."""
        minute = (instant.toordinal(), instant.hour * 60 + instant.minute)
        if minute not in self._known:
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            self._known[minute] = self._search(instant)
        return self._known[minute]

    def _search(self, instant: datetime) -> timedelta | None:
        for step in (-_STEP, _STEP):
            at = min(max(instant, _FIRST), _LAST)
            for _ in range(_STEPS_MAX):
                local = at.replace(tzinfo=UTC).astimezone(self._zone)
                if local.tzname() == self._name:
                    return local.utcoffset()
                at += step
                if not _FIRST <= at <= _LAST:
                    break
        return None

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        """East of UTC. A local time that comes twice is the later one, one that is skipped counts from before."""
        if dt is None:
            return None
        local = dt.replace(tzinfo=None)
        usual = min(local.replace(tzinfo=self._zone, fold=fold).utcoffset() or timedelta() for fold in (0, 1))
        found = self._named(local.replace(fold=0) - usual)
        return found if found is not None else usual

    def tzname(self, dt: datetime | None) -> str:
        """The abbreviation."""
        return self._name

    def dst(self, dt: datetime | None) -> timedelta | None:
        """Not known apart."""
        return None

    def fromutc(self, dt: datetime) -> datetime:
        """UTC → local time under this name."""
        instant = dt.replace(tzinfo=None)
        local = instant.replace(tzinfo=UTC).astimezone(self._zone)
        offset = self._named(instant)
        if offset is None:
            offset = local.utcoffset() or timedelta()
        return dt + offset


def abbreviated_zone(name: str) -> tzinfo | None:
    """The zone that an abbreviation (any case) stands for; None for another word."""
    lowered = name.lower()
    fixed = OFFSETS.get(lowered)
    if fixed is not None:
        return timezone(timedelta(seconds=fixed[0]))
    zone = ZONES.get(lowered)
    return None if zone is None else AbbreviatedZone(name.upper(), zoneinfo.ZoneInfo(zone))
