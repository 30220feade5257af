#!/usr/bin/env python3
"""Writes orders.csv and loyalty.csv beside this file: made-up data, the same on every run.

Python 3.9 or newer, standard library only. Every random choice goes through Random.random(), the one
method whose sequence Python keeps from version to version.
"""

import csv
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

ORDERS = 1000
CUSTOMERS = 200
TODAY = datetime(2026, 6, 30, 12, 0)  # the moment at which the data are a snapshot
DAYS = 180

CARRIERS = ["UPS", "FedEx", "DHL", "USPS", "GLS", "DPD"]

# A status and how many parts of the whole, for young orders and for old ones.
YOUNG = [("PENDING", 3), ("PROCESSING", 4), ("SHIPPED", 6), ("OUT_FOR_DELIVERY", 2), ("DELAYED", 2), ("CANCELLED", 1)]
OLD = [("DELIVERED", 84), ("RETURNED", 6), ("CANCELLED", 7), ("DELAYED", 3)]
BEFORE_SHIPPING = {"PENDING", "PROCESSING", "CANCELLED"}

GIVEN = ["Mira", "Tom", "Ana", "Otto", "Nia", "Leo", "Iris", "Max", "Ada", "Ben", "Zoe", "Sam", "Eva", "Jan", "Uma",
         "Kim", "Ida", "Noah", "Lia", "Finn"]
NOUNS = ["Lantern", "Teapot", "Harbour", "Pebble", "Kettle", "Meadow", "Compass", "Thimble", "Bramble", "Ladder"]

# Names that break what handles text carelessly, in the place of some customers.
ODD_NAMES = {
    2: "Zoë Fensterbänk",
    3: "Fionn O'Kettle",
    4: "Teapot, Ana",
    5: 'Max "The Ladder" Pebble',
    6: "林 灯籠",
    7: "ほし やかん",
    8: "달빛 주전자",
    9: "Nia 🚀 Compass",
    10: "👩‍🚀 Ida Bramble",
    11: "Łucja Żagiew",
    12: "Ångström Brödrost",
    13: "José Farolillo-Ñandú",
    14: "Иван Чайник",
    15: "ليلى فانوس",
    16: "D'Arcy d'Thimble, Jr.",
    17: "Ada <b>Meadow</b>",
    18: "=SUM(Lantern)",
    19: "Bobby'); DROP TABLE orders;--",
    20: "Leo\\Teapot",
    21: "Eva {{harbour}} ${pebble}",
    22: "Cafe\u0301 Kettle",
    23: "X",
    24: "Maximiliana-Wilhelmina Thistledown-Lanternbearer of the Upper Teapot Meadow",
}
NAMELESS = {30, 77, 140}


def main():
    random = Random(1001)
    customers = {f"C-{n:04}": name(n) for n in range(1, CUSTOMERS + 1)}
    write("orders.csv", orders(random, customers))
    write("loyalty.csv", balances(random, customers))


def name(number):
    if number in NAMELESS:
        return ""
    # Every given name meets every noun once: as many pairs as customers, no two the same.
    given = GIVEN[(number - 1) % len(GIVEN)]
    noun = NOUNS[(number - 1) // len(GIVEN) % len(NOUNS)]
    return ODD_NAMES.get(number, f"{given} {noun}")


def orders(random, customers):
    yield "order_id", "customer_id", "status", "carrier", "eta", "ordered_at", "updated_at", "customer_name"
    # The order of the README and of every demonstration.
    yield "1001", "C-0001", "SHIPPED", "UPS", "2026-07-03", "2026-06-28T09:14:00Z", "2026-06-29T16:40:00Z", customers["C-0001"]
    ids = list(customers)
    for number in range(1002, 1001 + ORDERS):
        index = number - 1001
        if index < CUSTOMERS:
            customer = ids[index]  # everybody has one
        elif index % 20 == 0:
            customer = "C-0001"
        else:
            customer = pick(random, ids)
        yield order(random, str(number), customer, customers[customer])


def order(random, number, customer, customer_name):
    age = timedelta(minutes=int(random.random() ** 2 * DAYS * 24 * 60))  # more young orders than old
    ordered = TODAY - age
    status = weighted(random, YOUNG if age < timedelta(days=10) else OLD)
    carrier = eta = ""
    if status not in BEFORE_SHIPPING:
        carrier = pick(random, CARRIERS)
        eta = (ordered + timedelta(days=2 + int(random.random() * 9))).date().isoformat()
    updated = ordered + (TODAY - ordered) * random.random() * 0.5
    # Gaps as in a real export.
    if random.random() < 0.04:
        carrier = ""
    if random.random() < 0.05:
        eta = ""
    updated_at = "" if random.random() < 0.08 else instant(updated)
    return number, customer, status, carrier, eta, instant(ordered), updated_at, customer_name


def balances(random, customers):
    yield "customer_id", "points", "tier", "updated_at"
    yield "C-0001", "12450", "GOLD", "2026-06-29T16:40:00Z"
    for customer in list(customers)[1:]:
        points = 0 if random.random() < 0.06 else int(random.random() ** 3 * 40_000)
        tier = "" if random.random() < 0.08 else tier_of(points)
        updated = TODAY - timedelta(minutes=int(random.random() * DAYS * 24 * 60))
        updated_at = "" if random.random() < 0.05 else instant(updated)
        yield customer, str(points), tier, updated_at


def tier_of(points):
    for least, tier in [(20_000, "PLATINUM"), (8_000, "GOLD"), (2_000, "SILVER")]:
        if points >= least:
            return tier
    return "BRONZE"


def pick(random, choices):
    return choices[int(random.random() * len(choices))]


def weighted(random, choices):
    left = random.random() * sum(parts for _, parts in choices)
    for choice, parts in choices:
        left -= parts
        if left < 0:
            return choice
    return choices[-1][0]


def instant(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def write(file_name, rows):
    path = Path(__file__).with_name(file_name)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    main()
