//! What photographs show, and what people call them.

/// What a photograph shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scene {
    Aurora,
    Alps,
    Sea,
    Desert,
    Night,
    Lake,
    Woods,
    Garden,
    City,
    Balloons,
    Marble,
    Fractal,
}

impl Scene {
    /// Photograph `n` shows scene `n % 12`.
    pub(crate) const ALL: [Self; 12] = [
        Self::Aurora,
        Self::Alps,
        Self::Sea,
        Self::Desert,
        Self::Night,
        Self::Lake,
        Self::Woods,
        Self::Garden,
        Self::City,
        Self::Balloons,
        Self::Marble,
        Self::Fractal,
    ];

    /// The name of its folder.
    pub(crate) fn folder(self) -> &'static str {
        self.words().0
    }

    fn words(self) -> (&'static str, [&'static str; 5]) {
        match self {
            Self::Aurora => (
                "Iceland 2024",
                [
                    "Aurora over Kirkjufell",
                    "Green fire",
                    "Waiting until 2 am",
                    "The sky dances",
                    "Last night in Vík",
                ],
            ),
            Self::Alps => (
                "Crossing the Alps",
                [
                    "Ridge after ridge",
                    "First light",
                    "Above the clouds",
                    "View from the hut",
                    "Day 4, the pass",
                ],
            ),
            Self::Sea => (
                "By the sea",
                [
                    "Sunset over the bay",
                    "Calm evening",
                    "Last ferry",
                    "Golden hour",
                    "Nobody on the beach",
                ],
            ),
            Self::Desert => (
                "Morocco – Erg Chebbi",
                [
                    "Dunes at dawn",
                    "Wind on the crest",
                    "Long shadows",
                    "Sea of sand",
                    "Camp below the dune",
                ],
            ),
            Self::Night => (
                "Night skies",
                [
                    "Milky Way",
                    "Perseids, no luck",
                    "Moonrise",
                    "30 seconds at f2",
                    "New moon",
                ],
            ),
            Self::Lake => (
                "Suomi, järvet",
                [
                    "Mirror",
                    "Morning on the lake",
                    "Not a ripple",
                    "From the jetty",
                    "Järvi illalla",
                ],
            ),
            Self::Woods => (
                "Foggy forest",
                [
                    "Into the fog",
                    "Spruces",
                    "The valley at seven",
                    "Quiet",
                    "After the rain",
                ],
            ),
            Self::Garden => (
                "Grandma's garden",
                ["Dahlia", "In full bloom", "Daisy", "June", "The red one"],
            ),
            Self::City => (
                "City lights",
                [
                    "Downtown from the river",
                    "Blue hour",
                    "Rush hour reflections",
                    "Skyline",
                    "Lights on",
                ],
            ),
            Self::Balloons => (
                "Kapadokya ☀️",
                [
                    "Up at four",
                    "Balloons over the valley",
                    "Lift-off",
                    "Forty of them",
                    "Silence up here",
                ],
            ),
            Self::Marble => (
                "Abstract studies",
                [
                    "Study in ink",
                    "Ebru",
                    "Folded paint",
                    "Gold leaf",
                    "Untitled",
                ],
            ),
            Self::Fractal => (
                "Fractals",
                [
                    "Julia I",
                    "Dendrite",
                    "Spiral arms",
                    "Lightning",
                    "Coastline",
                ],
            ),
        }
    }
}

/// A name such as people and cameras give; unique within a demo folder.
pub(crate) fn name(scene: Scene, place: u64, index: u64) -> String {
    let titles = scene.words().1;
    match titles.get(place as usize) {
        Some(title) => format!("{title}.jpg"),
        None if index.is_multiple_of(5) => {
            format!(
                "IMG_2024{:02}{:02}_{index:06}.jpg",
                index % 12 + 1,
                index % 28 + 1
            )
        }
        None => format!("DSC_{index:04}.jpg"),
    }
}
