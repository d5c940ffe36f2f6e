//! Pictures in files: drawn once, as SVG or as PNG, whichever the file's name ends with.
//!
//! A picture is light whatever the reader's theme, brings its own sizes, and refers to nothing outside its file, so that it can stand in
//! a README. The font comes with the program: a PNG needs its outlines, and both formats its widths.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;

/// The family of all text. Readers of an SVG bring their own font of that kind, which is about as wide.
pub(crate) const FONT: &str = "monospace";
/// Ordinary text.
pub(crate) const INK: RGBColor = RGBColor(0x1f, 0x23, 0x28);
/// What should not be looked at first: axes, grids, notes.
pub(crate) const FAINT: RGBColor = RGBColor(0x8c, 0x95, 0x9f);
/// Colours that differ for everybody, colour-blind people included, and on paper (Okabe and Ito).
pub(crate) const COLOURS: [RGBColor; 6] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
];

/// An area to draw on.
pub(crate) type Area<DB> = DrawingArea<DB, Shift>;

/// Something to draw, on whatever there is.
pub(crate) trait Picture {
    /// Width and height, in points of an SVG and pixels of a PNG.
    fn size(&self) -> (u32, u32);

    /// Draws it on an empty white area of that size.
    ///
    /// # Errors
    /// What the drawing says.
    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Result<(), DrawingAreaErrorKind<DB::ErrorType>>;
}

/// A file's name, for clap: it must end with `.svg` or `.png`.
///
/// # Errors
/// Any other name.
pub(crate) fn file(name: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(name);
    match Kind::of(&path) {
        Some(_) => Ok(path),
        None => Err("the name of a picture must end with .svg or .png".to_owned()),
    }
}

/// Draws a picture into a file, which is replaced at once when all of it has been written.
///
/// # Errors
/// A name that ends with something else, or a file that cannot be written.
pub(crate) fn save(picture: &impl Picture, path: &Path) -> Result<()> {
    let bytes = match Kind::of(path) {
        Some(Kind::Svg) => svg(picture),
        Some(Kind::Png) => png(picture),
        None => Err(anyhow!("the name of a picture must end with .svg or .png")),
    };
    let written = bytes.and_then(|bytes| replace(path, &bytes));
    written.with_context(|| format!("{}: cannot write the picture", path.display()))
}

#[derive(Clone, Copy)]
enum Kind {
    Svg,
    Png,
}

impl Kind {
    fn of(path: &Path) -> Option<Kind> {
        match path.extension().and_then(OsStr::to_str)?.to_ascii_lowercase().as_str() {
            "svg" => Some(Kind::Svg),
            "png" => Some(Kind::Png),
            _ => None,
        }
    }
}

fn svg(picture: &impl Picture) -> Result<Vec<u8>> {
    let mut text = String::new();
    on_white(picture, SVGBackend::with_string(&mut text, picture.size()))?;
    Ok(text.into_bytes())
}

fn png(picture: &impl Picture) -> Result<Vec<u8>> {
    let (width, height) = picture.size();
    let mut pixels = vec![0; 3 * width as usize * height as usize];
    on_white(picture, BitMapBackend::with_buffer(&mut pixels, (width, height)))?;
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(bytes)
}

fn on_white<DB: DrawingBackend>(picture: &impl Picture, backend: DB) -> Result<()> {
    register_font(FONT, FontStyle::Normal, epaint_default_fonts::HACK_REGULAR).map_err(|_| anyhow!("the font cannot be used"))?;
    let area = backend.into_drawing_area();
    let drawn = area.fill(&WHITE).and_then(|()| picture.draw(&area)).and_then(|()| area.present());
    drawn.map_err(|error| anyhow!("{error}"))
}

/// Writes a temporary file beside the other, and renames it.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".hotrow-").suffix(".tmp");
    // Temporary files are private by default; a picture is as readable as other files of its owner.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Greeting;

    impl Picture for Greeting {
        fn size(&self) -> (u32, u32) {
            (120, 40)
        }

        fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Result<(), DrawingAreaErrorKind<DB::ErrorType>> {
            area.draw(&Rectangle::new([(0, 30), (120, 40)], COLOURS[0].filled()))?;
            area.draw_text("hello <&>", &(FONT, 16).into_text_style(area).color(&INK), (4, 4))
        }
    }

    #[test]
    fn the_name_says_the_format() {
        let dir = tempfile::tempdir().unwrap();
        for (name, start) in [("a.svg", &b"<svg width=\"120\" height=\"40\""[..]), ("b.PNG", b"\x89PNG\r\n\x1a\n")] {
            let path = dir.path().join(name);
            save(&Greeting, &path).unwrap();
            assert!(fs::read(&path).unwrap().starts_with(start), "{name}");
        }
        let text = fs::read_to_string(dir.path().join("a.svg")).unwrap();
        assert!(text.contains("hello &lt;&amp;&gt;") && !text.contains("href"), "{text}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "no temporary file stays");
        assert!(file("a.svg").is_ok() && file("b.png").is_ok());
        assert_eq!(file("c.jpg").unwrap_err(), "the name of a picture must end with .svg or .png");
        assert!(
            save(&Greeting, &dir.path().join("no/such/folder.svg")).unwrap_err().to_string().contains("folder.svg: cannot write")
        );
    }

    #[test]
    fn text_is_drawn_in_pixels() {
        let (width, height) = Greeting.size();
        let mut pixels = vec![0; 3 * (width * height) as usize];
        on_white(&Greeting, BitMapBackend::with_buffer(&mut pixels, (width, height))).unwrap();
        let dark = pixels.chunks_exact(3).take((width * 28) as usize).filter(|pixel| pixel[0] < 0x80).count();
        assert!(dark > 40, "{dark} dark pixels");
    }
}
