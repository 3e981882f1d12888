"""Synthetic questions with the classes and class frequencies of TREC, so that recipes run without a download.

A question is a template whose slots are filled, such as "What is the capital of {country} ?". These questions are much
easier than those of TREC. A score on them shows that a system works, not how good it is.
"""

import re
from itertools import product

import numpy as np

from datamodules.classification.examples import Examples
from datamodules.classification.question_files import FINE, TRAIN_COUNTS, fine_examples
from datamodules.loading.counter_rng import random_uint64

TRAIN_SIZE, TEST_SIZE = 2000, 500
SEED = 2**40 + 5  # larger than any seed of a run
SLOT = re.compile(r"\{(\w+)\}")

SLOTS = {
    name: words.split(", ")
    for name, words in {
        "country": "France, Japan, Kenya, Peru, Norway, Egypt, India, Canada, Chile, Ghana, Poland, Vietnam, Turkey, "
        "Iceland, Cuba, Nepal, Greece, Mongolia, Portugal, New Zealand",
        "city": "Paris, Kyoto, Nairobi, Lima, Oslo, Cairo, Mumbai, Toronto, Santiago, Accra, Warsaw, Hanoi, Ankara, "
        "Havana, Athens, Lisbon, Boston, Chicago, Sydney, Vienna",
        "place": "the Eiffel Tower, the Great Barrier Reef, the Sahara, Lake Victoria, the Suez Canal, Stonehenge, "
        "the Amazon, the Great Wall, Machu Picchu, the Dead Sea, Easter Island, the Grand Canyon",
        "person": "Marie Curie, Isaac Newton, Cleopatra, Ada Lovelace, Charles Darwin, Frida Kahlo, Galileo, "
        "Jane Austen, Nelson Mandela, Florence Nightingale, Marco Polo, Alan Turing, Beethoven, Gandhi",
        "deed": "painted the Mona Lisa, wrote Don Quixote, discovered penicillin, invented the telephone, "
        "composed the Four Seasons, founded the Red Cross, first reached the South Pole, designed the first computer, "
        "won the first marathon, directed Metropolis, translated the Iliad, built the first steam engine",
        "adverb": "first, originally, really, actually, secretly, supposedly",
        "work": "Hamlet, Moby Dick, the Odyssey, War and Peace, Frankenstein, Dracula, Emma, the Aeneid, Ulysses",
        "thing": "a rainbow, glass, a mirror, paper, a thunderstorm, a compass, cheese, an earthquake, a vaccine, "
        "soap, a pearl, a telescope, an engine, silk, a volcano",
        "term": "photosynthesis, inflation, a quasar, an isotope, osmosis, a sonnet, a fjord, entropy, a tariff, "
        "a haiku, plankton, a monsoon, an enzyme, a referendum, gravity, a glacier, an allele, a prism, a comet, "
        "a mortgage, a satellite, a pronoun, an alloy, a logarithm",
        "animal": "elephants, bees, owls, salmon, camels, penguins, wolves, bats, dolphins, spiders, ants, turtles",
        "body": "blood, oxygen, sugar, sound, light, pain, heat, hunger",
        "event": "the French Revolution, the Olympic Games, the moon landing, the Black Death, the First World War, "
        "the Great Fire of London, the Renaissance, the gold rush, the fall of Rome, the Boston Tea Party",
        "company": "Toyota, Nokia, Lego, Boeing, Nestle, Siemens, Sony, Heineken, Volvo, Philips",
        "product": "shampoo, chewing gum, batteries, pencils, sneakers, bicycles, tea bags, matches",
        "short": "NATO, NASA, UNESCO, DNA, GPS, BBC, HTML, laser, radar, FIFA, OPEC, RSVP, PDF, CEO, NBA, ATM",
        "long": "the World Health Organization, random access memory, the European Union, frequently asked questions, "
        "the International Monetary Fund, miles per hour, television, unidentified flying objects",
        "river": "Nile, Danube, Mekong, Volga, Rhine, Ganges, Thames, Yukon",
        "food": "bread, soup, pasta, rice, a salad, curry, chocolate, sushi, a pancake, honey",
        "century": "fifteenth, sixteenth, seventeenth, eighteenth, nineteenth, twentieth",
        "superlative": "largest, oldest, smallest, most famous, longest, tallest, busiest, richest",
    }.items()
}
# Fine class -> its templates.
TEMPLATES = {
    "ABBR:abb": ["What is the abbreviation for {long} ?", "How do you abbreviate {long} ?"],
    "ABBR:exp": ["What does {short} stand for ?", "What is the full form of {short} ?", "What does {short} mean ?"],
    "DESC:def": [
        "What is {term} ?", "What are {animal} ?", "Define {term} .", "What is the definition of {term} ?",
        "What is meant by {term} ?", "What does the term {short} {adverb} mean ?", "What exactly is {term} ?",
        "Can you explain what {term} is ?",
    ],
    "DESC:desc": [
        "What is {place} known for ?", "What happened during {event} ?", "What was the result of {event} ?",
        "What is the history of {product} ?", "What did {person} believe about {term} ?",
    ],
    "DESC:manner": [
        "How is {thing} made ?", "How do {animal} find {food} ?", "How does {body} travel ?", "How did {person} die ?",
        "How can I make {food} at home ?", "How do you measure {thing} ?", "How do {animal} sleep ?",
    ],
    "DESC:reason": [
        "Why do {animal} migrate ?", "Why did {event} begin ?", "Why is {food} so popular in {country} ?",
        "What causes {thing} ?", "Why did {person} leave {city} ?",
    ],
    "ENTY:animal": [
        "What animal is the symbol of {country} ?", "What {superlative} mammal lives in {country} ?",
        "What bird can be seen near {city} ?", "What kind of fish do {animal} eat ?", "Which insect likes {food} ?",
    ],
    "ENTY:body": ["What part of the body makes {body} ?", "Which organ carries {body} ?"],
    "ENTY:color": ["What color is {thing} ?", "What colors are in the flag of {country} ?"],
    "ENTY:cremat": [
        "What book did {person} write in {city} ?", "What film tells the story of {event} ?",
        "What is the {superlative} novel about {city} ?", "Which song is about {place} ?", "Name a play by {person} .",
    ],
    "ENTY:currency": ["What currency is used in {country} ?", "What money do they use in {country} ?"],
    "ENTY:dismed": [
        "What disease did {person} suffer from ?", "What drug helps against too much {body} ?",
        "What illness do {animal} carry ?", "What medicine is sold with {food} in {country} ?",
    ],
    "ENTY:event": ["What war ended after {event} ?", "What festival is held in {city} in honor of {person} ?"],
    "ENTY:food": [
        "What fruit is eaten with {food} ?", "What do {animal} eat ?", "What is the favorite dish in {city} ?",
        "What vegetable goes into {food} in {country} ?",
    ],
    "ENTY:instru": ["What instrument did {person} play ?"],
    "ENTY:lang": ["What language is spoken in {country} ?", "In what language was {work} written ?"],
    "ENTY:letter": ["What letter does {short} begin with ?", "Which letter comes last in {work} ?"],
    "ENTY:other": [
        "What did {person} carry to {city} ?", "What do {animal} and {product} have in common ?",
        "What is stored under {place} ?", "What was hidden in {city} after {event} ?", "What powers {thing} ?",
    ],
    "ENTY:plant": ["What tree grows in {country} ?", "What flower is named after {person} ?"],
    "ENTY:product": ["What product does {company} sell in {country} ?", "What brand makes {product} for {company} ?"],
    "ENTY:religion": ["What is the main religion in {country} ?"],
    "ENTY:sport": ["What sport is played most in {country} ?", "What game did {person} play in {city} ?"],
    "ENTY:substance": ["What material is {thing} made of ?", "What metal is found near {city} ?"],
    "ENTY:symbol": ["What is the symbol for {term} ?", "What sign stands for {term} ?"],
    "ENTY:techmeth": ["What technique is used to make {thing} ?", "What method measures {body} ?"],
    "ENTY:termeq": [
        "What is another name for {term} ?", "What is the scientific name for {animal} ?",
        "What do you call people from {city} ?", "What is the word for {food} in {country} ?",
    ],
    "ENTY:veh": ["What ship did {person} sail on ?", "What kind of car does {company} build ?"],
    "ENTY:word": ["What word rhymes with {short} ?", "What English word comes from the name {person} ?"],
    "HUM:desc": [
        "Who was {person} ?", "Who is {person} and why do we know the name ?",
        "What was {person} famous for ?",
    ],
    "HUM:gr": [
        "What company makes {product} ?", "What team won the cup in {city} ?", "What band plays at {place} ?",
        "What organization owns {place} ?", "What tribe lived near {place} before {event} ?",
        "Which university did {person} attend ?",
    ],
    "HUM:ind": [
        "Who {deed} ?", "Who {adverb} {deed} ?", "Name the person who {deed} .",
        "What is the name of the man who {deed} ?",
        "Which woman {adverb} {deed} ?", "Who was the first president of {country} ?", "Who is the mayor of {city} ?",
        "Who married {person} ?", "What {century} century author wrote about {place} ?", "Who founded {company} ?",
        "Who taught {person} about {term} ?",
    ],
    "HUM:title": ["What was the title of {person} ?", "What was the profession of {person} ?"],
    "LOC:city": [
        "What is the capital of {country} ?", "What is the {superlative} city in {country} ?",
        "In what city is {place} ?",
    ],
    "LOC:country": [
        "What country borders {country} ?", "In which country is {city} ?", "What country did {person} come from ?",
        "Which country sells the most {product} ?", "What is the {superlative} country with a city called {city} ?",
    ],
    "LOC:mount": ["What is the {superlative} mountain in {country} ?", "What mountain lies near {city} ?"],
    "LOC:other": [
        "Where is {place} ?", "Where is {city} ?", "Where do {animal} live ?", "What river flows through {city} ?",
        "Where was {person} born ?", "What continent is {country} on ?", "Where can I buy {product} in {city} ?",
        "What lake is near {city} ?", "Where does the {river} begin ?",
    ],
    "LOC:state": ["What state was {person} governor of ?", "Which state has the {superlative} park near {city} ?"],
    "NUM:code": ["What is the zip code of {city} ?", "What is the telephone number of {company} ?"],
    "NUM:count": [
        "How many people live in {city} ?", "How many {animal} are there in {country} ?",
        "How many languages did {person} speak ?", "How many times has {country} won the cup ?",
        "How many stores does {company} have in {city} ?",
    ],
    "NUM:date": [
        "When did {event} begin ?", "What year was {person} born ?", "When was {company} founded ?",
        "In what year did {person} visit {city} ?", "When was {work} published ?",
    ],
    "NUM:dist": ["How far is it from {city} to {place} ?", "How high is {place} ?", "How long is the {river} ?"],
    "NUM:money": ["How much does {product} cost in {city} ?", "How much is {company} worth in {country} ?"],
    "NUM:ord": ["What chapter of {work} is the longest ?"],
    "NUM:other": ["What is the average number of {animal} on a farm near {city} ?", "What is the score of {country} ?"],
    "NUM:perc": ["What percentage of {country} is desert ?", "What fraction of {food} is {body} ?"],
    "NUM:period": ["How long did {event} last ?", "How old was {person} when {event} began ?"],
    "NUM:speed": ["How fast can {animal} run ?", "How fast does {body} travel ?"],
    "NUM:temp": ["What is the average temperature in {city} ?", "How hot is {place} ?"],
    "NUM:volsize": ["How big is {place} ?", "How large is {country} ?"],
    "NUM:weight": ["How much do {animal} weigh ?", "How heavy is {food} ?"],
}  # fmt: skip


def synthetic_questions() -> tuple[Examples, Examples]:
    """2,000 training and 500 test questions, all different. They are the same in every run."""
    names = list(TRAIN_COUNTS)
    total = np.concatenate([[0], np.cumsum(list(TRAIN_COUNTS.values()))])
    # Number of questions of each class: its fraction of TREC's, rounded so that the sum is the size.
    quotas = [np.diff((total * size + total[-1] // 2) // total[-1]) for size in (TRAIN_SIZE, TEST_SIZE)]
    parts: tuple[list[tuple[str, int]], ...] = ([], [])
    for at, name in enumerate(names):
        questions = _every_question(name)
        order = _shuffled(len(questions), at)
        start = 0
        for part, quota in zip(parts, quotas, strict=True):
            part += [(questions[row], FINE.index(name)) for row in order[start : start + quota[at]]]
            start += quota[at]
    made = []
    for number, part in enumerate(parts, len(names)):
        rows = [part[row] for row in _shuffled(len(part), number)]
        made.append(fine_examples([text for text, _ in rows], [label for _, label in rows]))
    return made[0], made[1]


def _every_question(name: str) -> list[str]:
    """All different questions that the templates of a class yield."""
    made = []
    for template in TEMPLATES[name]:
        slots = SLOT.findall(template)
        for words in product(*(SLOTS[slot] for slot in slots)):
            made.append(template.format(**dict(zip(slots, words, strict=True))))
    return list(dict.fromkeys(made))


def _shuffled(size: int, number: int) -> np.ndarray:
    """A permutation of 0 ... size - 1 that depends on ``number`` alone."""
    return np.argsort(random_uint64(SEED, np.array([number]), size)[0], kind="stable")
