"""The wordings of captions: several for every kind of sound, some of each held out of training.

A text encoder that is trained from scratch knows only the words that it was trained on. Held-out wordings are
therefore made of those words, or of their stems: "the bark of a dog" beside "a dog barking".
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wordings:
    """Ways to say one thing: those trained on, and those held out."""

    trained: tuple[str, ...]
    held_out: tuple[str, ...]


EVENT_WORDS: dict[str, Wordings] = {
    "siren": Wordings(
        ("a siren", "sirens", "a wailing siren", "the wail of a siren", "an ambulance siren", "a police siren wailing"),
        ("the siren of an ambulance", "a siren that wails", "wailing police sirens"),
    ),
    "dog_bark": Wordings(
        ("a dog barking", "a barking dog", "dog barks", "a dog", "the barking of a dog", "dogs that bark"),
        ("the bark of a dog", "dogs barking", "a dog that barks"),
    ),
    "bird_chirp": Wordings(
        ("a bird chirping", "a chirping bird", "birds singing", "birds", "the song of a bird", "chirps of a bird"),
        ("birds chirping", "a singing bird", "the chirp of a bird"),
    ),
    "clock_tick": Wordings(
        ("a clock ticking", "a ticking clock", "the tick of a clock", "clock ticks", "a clock", "ticking"),
        ("the ticking of a clock", "a clock that ticks", "clocks ticking"),
    ),
    "knock": Wordings(
        ("a knock", "someone knocking", "knocks on wood", "knocking on a door", "a knock at the door", "knocking"),
        ("someone who knocks on a door", "knocking on wood", "a door and knocks on it"),
    ),
    "engine": Wordings(
        ("an engine", "an engine running", "a running motor", "an idling engine", "a motor", "the engine of a lorry"),
        ("a running engine", "a motor idling", "the motor of a lorry"),
    ),
    "alarm_beep": Wordings(
        ("an alarm beeping", "a beeping alarm", "beeps", "an alarm", "the beep of an alarm", "electronic beeps"),
        ("an electronic alarm", "the beeping of an alarm", "alarms that beep"),
    ),
    "rain": Wordings(
        ("rain", "rain falling", "falling rain", "raindrops", "rain on a roof", "heavy rain"),
        ("the falling of rain", "raindrops on a roof", "heavily falling rain"),
    ),
    "wind": Wordings(
        ("wind", "wind blowing", "howling wind", "gusts of wind", "a strong wind", "the howl of the wind"),
        ("the wind howling", "a blowing wind", "the strong gusts of the wind"),
    ),
    "bell": Wordings(
        ("a bell", "a bell ringing", "a ringing bell", "the toll of a bell", "a church bell", "bells that ring"),
        ("the ringing of a bell", "a bell that tolls", "church bells ringing"),
    ),
}

BACKGROUND_WORDS: dict[str, Wordings] = {
    "pink_noise": Wordings(
        ("noise", "steady noise", "pink noise", "a rush of noise", "constant noise", "a steady rush"),
        ("a constant rush", "the steadiness of noise"),
    ),
    "mains_hum": Wordings(
        ("mains hum", "an electric hum", "the hum of a transformer", "a humming transformer", "a low hum", "humming"),
        ("the humming of the mains", "a transformer that hums"),
    ),
    "babble": Wordings(
        ("people talking", "many voices", "babble", "a crowd talking", "the babble of a crowd", "voices"),
        ("many people who talk", "the voices of a crowd"),
    ),
    "room_tone": Wordings(
        ("a quiet room", "room tone", "ventilation", "the air in a quiet room", "the ventilation of a room", "a room"),
        ("a room with ventilation", "the quiet of a room"),
    ),
    "traffic": Wordings(
        ("traffic", "cars passing", "a busy road", "road traffic", "the rumble of traffic", "a road with cars"),
        ("cars passing on a road", "the rumble of a busy road"),
    ),
}

SILENCE_WORDS = Wordings(
    ("silence", "nothing", "no sound at all", "complete silence", "nothing to hear"),
    ("nothing at all", "silence and no sound"),
)

# Sentences around the name of a sound, or of several.
TEMPLATES = Wordings(
    (
        "{}",
        "the sound of {}",
        "this is {}",
        "{} can be heard",
        "i hear {}",
        "a recording of {}",
        "there is {}",
        "a clip with {} in it",
    ),
    ("this is a recording of {}", "one can hear {}", "the sound that i hear is {}", "a clip of the sound of {}"),
)

DISTANCES: dict[str, Wordings] = {
    "near": Wordings(
        ("{} close by", "{} nearby", "loud: {}", "{} close to me", "{}, loud"),
        ("very close: {}", "{} loud and close"),
    ),
    "far": Wordings(
        ("{} far away", "{} in the distance", "faint: {}", "{} from afar", "{}, faint"),
        ("far off {}", "{} faint and far"),
    ),
}

# The first sound, then the second, in whatever order the two were drawn.
TWO_EVENTS = Wordings(
    ("{} and {}", "two sounds: {} and {}", "{} together with {}", "{} with {}", "{}, and also {}", "{} over {}"),
    ("both {} and {}", "{}, and together with it {}"),
)

# The event first, then the background.
OVER_BACKGROUND = Wordings(
    ("{} over {}", "{} with {} behind it", "{} in front of {}", "{} in {}", "{}, the background is {}"),
    ("behind {} there is {}", "{} heard over {}"),
)
# The background first.
UNDER_EVENT = Wordings(
    ("{}, and in it {}", "{} behind {}", "{} under {}", "a background of {} and {}"),
    ("{}, and over it {}", "in front of {} there is {}"),
)
