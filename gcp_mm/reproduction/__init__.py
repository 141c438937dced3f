"""The paper's claims, tried: a plan becomes runs, their numbers become verdicts and a page.

Read `plan`, `configs`, `jobs`, `run`, `results`, `measures`, `statistics`, `verdicts`, `report` in
this order. Every run is a command of this package; nothing is trained or measured here. It may
import every other room but `doctor` and `cli`.
"""
