//! The shelves and styles of the synthetic market.

/// Kinds of goods: the name of the shelf, and what stands on it.
pub(super) const SHELVES: [(&str, [&str; 10]); 8] = [
    ("cheese", ["Cheddar", "Gouda", "Brie", "Feta", "Comté", "Stilton", "Ricotta", "Manchego", "Gruyère", "Halloumi"]),
    ("tea", ["Oolong", "Sencha", "Assam", "Darjeeling", "Matcha", "Rooibos", "Lapsang", "Earl Grey", "Chai", "Pu-erh"]),
    ("bread", ["Rye", "Baguette", "Sourdough", "Focaccia", "Brioche", "Pita", "Ciabatta", "Bagel", "Naan", "Pretzel"]),
    ("fish", ["Trout", "Salmon", "Herring", "Mackerel", "Cod", "Tuna", "Sardines", "Anchovies", "Eel", "Halibut"]),
    ("fruit", ["Apples", "Mango", "Figs", "Plums", "Cherries", "Apricots", "Pears", "Quince", "Dates", "Papaya"]),
    ("sweets", ["Nougat", "Marzipan", "Fudge", "Toffee", "Halva", "Truffles", "Liquorice", "Caramels", "Brittle", "Macarons"]),
    (
        "nuts",
        ["Almonds", "Walnuts", "Pecans", "Cashews", "Pistachios", "Hazelnuts", "Peanuts", "Chestnuts", "Pine Nuts", "Macadamias"],
    ),
    ("pickles", ["Kimchi", "Gherkins", "Capers", "Olives", "Sauerkraut", "Onions", "Beetroot", "Peppers", "Radish", "Chutney"]),
];

/// Ways in which anything is sold.
pub(super) const STYLES: [&str; 10] =
    ["Smoked", "Spicy", "Organic", "Honeyed", "Salted", "Vintage", "Crunchy", "Village", "Royal", "Midnight"];
