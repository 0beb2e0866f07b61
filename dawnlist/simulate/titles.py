"""The titles and genres of the shop's items."""

SIMULATED_GENRES = (
    "Adventure",
    "Animation",
    "Biography",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Family",
    "Fantasy",
    "History",
    "Horror",
    "Music",
    "Mystery",
    "Romance",
    "Science Fiction",
    "Sport",
    "Thriller",
    "War",
    "Western",
    "Travel",
)
TITLE_NOUNS = (
    "Compass",
    "Kite",
    "Letters",
    "Umbrella",
    "Witness",
    "Archive",
    "Orchard",
    "Lantern",
    "Dragon",
    "Kingdom",
    "Cellar",
    "Violin",
    "Riddle",
    "Waltz",
    "Satellite",
    "Champion",
    "Signal",
    "Regiment",
    "Saddle",
    "Harbour",
    "Map",
    "Puppet",
    "Diary",
    "Parrot",
    "Detective",
    "Glacier",
    "Winter",
    "Kitchen",
    "Wizard",
    "Castle",
    "Mirror",
    "Song",
    "Secret",
    "Garden",
    "Robot",
    "Race",
    "Escape",
    "Bridge",
    "Canyon",
    "Island",
)
TITLE_ADJECTIVES = (
    "Amber",
    "Ancient",
    "Borrowed",
    "Broken",
    "Crimson",
    "Crooked",
    "Distant",
    "Electric",
    "Empty",
    "Endless",
    "Forgotten",
    "Frozen",
    "Gentle",
    "Golden",
    "Hidden",
    "Hollow",
    "Invisible",
    "Last",
    "Little",
    "Lonely",
    "Lost",
    "Midnight",
    "Naked",
    "Northern",
    "Paper",
    "Patient",
    "Quiet",
    "Restless",
    "Scarlet",
    "Second",
    "Secret",
    "Silent",
    "Silver",
    "Sleeping",
    "Stolen",
    "Stubborn",
    "Sunken",
    "Tall",
    "Velvet",
    "Wandering",
)
TITLE_PLACES = (
    "Alder Bay",
    "Brackwater",
    "Calder",
    "Dunmore",
    "Eastmarch",
    "Fennel Street",
    "Greywick",
    "Hartland",
    "Ivory Hill",
    "Juniper Row",
    "Kestrel Point",
    "Lowmoor",
    "Marrow Lane",
    "Nettlefield",
    "Oakhaven",
    "Pell Island",
    "Quarry Hill",
    "Redcliff",
    "Saltmere",
    "Thornbury",
    "Umber Valley",
    "Vesper",
    "Westering",
    "Yarrow",
)
HOSTILE_ITEM = 7
"""The index of the item whose title attacks pages that show it without escaping."""
HOSTILE_TITLE = "<script>alert(1)</script>"
_TITLE_COMBINATIONS = len(TITLE_ADJECTIVES) * len(TITLE_PLACES)


def compose_title(index: int, theme: int) -> str:
    """Compose a readable title, unique to the index, with a noun of the theme."""
    if index == HOSTILE_ITEM:
        return HOSTILE_TITLE
    volume = index // _TITLE_COMBINATIONS
    combination = index * 7_919 % _TITLE_COMBINATIONS
    adjective = TITLE_ADJECTIVES[combination % len(TITLE_ADJECTIVES)]
    town = TITLE_PLACES[combination // len(TITLE_ADJECTIVES)]
    # each genre has a noun in the first half of the list and one in the second
    genre = theme % len(SIMULATED_GENRES)
    noun = TITLE_NOUNS[genre + len(SIMULATED_GENRES) * (index % 2)]
    title = f"The {adjective} {noun} of {town}"
    return f"{title}, Part {volume + 1}" if volume else title


def join_genres(theme: int, second_theme: int, count: int) -> str:
    """Join one to three different genres as 'A|B', the main theme's first."""
    themes = (theme, second_theme, theme + second_theme)
    genres = dict.fromkeys(SIMULATED_GENRES[number % len(SIMULATED_GENRES)] for number in themes)
    return "|".join(list(genres)[:count])
