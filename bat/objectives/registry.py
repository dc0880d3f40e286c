"""The methods by the name that configurations give them."""

from bat.objectives.base import Objective
from bat.objectives.bat import BAT
from bat.objectives.erm import ERM
from bat.objectives.gairat import GAIRAT
from bat.objectives.mail import MailAT, MailMART, MailTRADES
from bat.objectives.mart import MART
from bat.objectives.pgd_at import PGDAT
from bat.objectives.trades import TRADES

OBJECTIVES: dict[str, type[Objective]] = {
    method.name: method
    for method in (ERM, PGDAT, TRADES, MART, GAIRAT, MailAT, MailTRADES, MailMART, BAT)
}
