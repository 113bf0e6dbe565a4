"""German for every phrase of a result, by its English; reasons and checks by their codes."""

from typing import Final

GERMAN: Final[dict[str, str]] = {
    # wording.py
    "Paraspinal muscle measurement on MRI": "Messung der paraspinalen Muskulatur in der MRT",
    "RESEARCH USE ONLY - NOT FOR DIAGNOSIS": "NUR FÜR DIE FORSCHUNG - NICHT ZUR DIAGNOSE",
    "Unverified output of software. Not reviewed by a physician.": (
        "Ungeprüftes Ergebnis einer Software. Nicht ärztlich befundet."
    ),
    "RESEARCH USE ONLY. Not for diagnosis. Unverified output of software. Not reviewed by a physician.": (
        "NUR FÜR DIE FORSCHUNG. Nicht zur Diagnose. Ungeprüftes Ergebnis einer Software. "
        "Nicht ärztlich befundet."
    ),
    "Drawing edited by a person, measured by software. Not verified.": (
        "Zeichnung von einer Person bearbeitet, von Software gemessen. Nicht bestätigt."
    ),
    "RESEARCH USE ONLY. Not for diagnosis. Drawing edited by a person, measured by software. Not verified.": (
        "NUR FÜR DIE FORSCHUNG. Nicht zur Diagnose. Zeichnung von einer Person bearbeitet, von Software "
        "gemessen. Nicht bestätigt."
    ),
    "a person who is not named": "einer nicht genannten Person",
    "The drawing was edited by {by} ({type}).": "Die Zeichnung wurde von {by} bearbeitet ({type}).",
    "Overlap with the drawing of the network (Dice): {values}.": (
        "Überlappung mit der Zeichnung des Netzes (Dice): {values}."
    ),
    "No measurement is reported; this says nothing about the muscles themselves.": (
        "Es wird keine Messung mitgeteilt; das sagt nichts über die Muskeln selbst."
    ),
    "Measured by software on images made for another purpose; check the outlines before any use.": (
        "Von Software auf Bildern gemessen, die zu einem anderen Zweck entstanden; vor jeder Verwendung "
        "sind die Konturen zu prüfen."
    ),
    "Scores compare with a group of people and are no probability for this person. "
    "A flag that is not raised says nothing about the presence or absence of any disease or risk.": (
        "Vergleichswerte beziehen sich auf eine Gruppe und sind keine Wahrscheinlichkeit für diese Person. "
        "Ein nicht gesetzter Hinweis sagt nichts über Krankheit oder Risiko."
    ),
    "Values depend on contrast and coverage, and compare only with values of the same definition.": (
        "Die Werte hängen von Kontrast und Abdeckung ab und sind nur mit Werten derselben Definition "
        "vergleichbar."
    ),
    "Neither images nor headers tell it for sure, so it was not checked: earlier surgery, small implants, "
    "tumour, oedema, scoliosis, diseases of nerve or muscle.": (
        "Weder Bilder noch Kopfdaten sagen es sicher, also wurde es nicht geprüft: frühere Operation, kleine "
        "Implantate, Tumor, Ödem, Skoliose, Erkrankungen von Nerv oder Muskel."
    ),
    "A block of slices at one level: areas in the plane of the slices and shares of area, no volume. "
    "It has a definition of its own and is compared neither with reference tables, nor with earlier studies, "
    "because its vertebral level is not known.": (
        "Ein Schichtblock auf einer Höhe: Flächen in der Schichtebene und Flächenanteile, kein Volumen. "
        "Er hat eine eigene Definition und wird weder mit Referenztabellen noch mit früheren Untersuchungen "
        "verglichen, weil seine Wirbelhöhe nicht bekannt ist."
    ),
    "block": "Block",
    "block {number} of {of} from the caudal end": "Block {number} von {of} (von kaudal)",
    "Measures: {block}, {slices} slices, no volume": "Messwerte: {block}, {slices} Schichten, kein Volumen",
    "Within the block": "Innerhalb des Blocks",
    "This is {block}.": "Dies ist {block}.",
    "Muscle compartment": "Muskelkompartiment",
    "Lean muscle (LMM)": "Magere Muskelmasse (LMM)",
    "Intermuscular fat (IMAT)": "Intermuskuläres Fett (IMAT)",
    "IMAT share of compartment": "IMAT-Anteil am Kompartiment",
    "Mean cross-section": "Mittlerer Querschnitt",
    "Mean lean cross-section": "Mittlerer magerer Querschnitt",
    "Signal fat fraction": "Signal-Fettanteil",
    "Lean muscle / height²": "Magere Muskelmasse / Größe²",
    "compared with a reference table": "mit einer Referenztabelle verglichen",
    "no applicable reference table": "keine anwendbare Referenztabelle",
    "outside the range of the reference table": "außerhalb des Bereichs der Referenztabelle",
    "age, sex or height not available": "Alter, Geschlecht oder Größe nicht bekannt",
    "demonstration: values describe no people": "Vorführung: die Werte beschreiben keine Menschen",
    "provisional: not validated for this measurement": "vorläufig: für diese Messung nicht validiert",
    "published": "veröffentlicht",
    "local: fitted to the site's own measures": "lokal: aus eigenen Messungen der Einrichtung",
    "raised": "gesetzt",
    "indeterminate": "unbestimmt",
    "not raised": "nicht gesetzt",
    "not evaluable": "nicht auswertbar",
    "Intermuscular fat above the reference range": "Intermuskuläres Fett über dem Referenzbereich",
    "Signal fat fraction above the reference range": "Signal-Fettanteil über dem Referenzbereich",
    "Lean muscle below the reference range": "Magere Muskelmasse unter dem Referenzbereich",
    "IMAT in the highest and LMM in the lowest quarter of the reference table": (
        "IMAT im höchsten und LMM im niedrigsten Viertel der Referenztabelle"
    ),
    "IMAT in the highest and LMM in the highest quarter of the reference table": (
        "IMAT im höchsten und LMM im höchsten Viertel der Referenztabelle"
    ),
    "IMAT in the lowest and LMM in the lowest quarter of the reference table": (
        "IMAT im niedrigsten und LMM im niedrigsten Viertel der Referenztabelle"
    ),
    "IMAT in the lowest and LMM in the highest quarter of the reference table": (
        "IMAT im niedrigsten und LMM im höchsten Viertel der Referenztabelle"
    ),
    "not in an outer quarter of both reference tables": (
        "nicht in einem äußeren Viertel beider Referenztabellen"
    ),
    "T2 TSE": "T2 TSE",
    "T2 HASTE": "T2 HASTE",
    "T1": "T1",
    "Dixon water": "Dixon Wasser",
    "Dixon fat": "Dixon Fett",
    "Dixon in phase": "Dixon in Phase",
    "Dixon opposed phase": "Dixon gegenphasig",
    "Dixon water and fat": "Dixon Wasser und Fett",
    "fat fraction": "Fettanteil",
    "STIR": "STIR",
    "other contrast": "anderer Kontrast",
    "not compared: {why}": "nicht verglichen: {why}",
    "z {z}{interval}": "z {z}{interval}",
    "percentile {percentile}{interval}": "Perzentil {percentile}{interval}",
    "reference table {norm} ({status})": "Referenztabelle {norm} ({status})",
    "not named": "nicht genannt",
    "status not stated": "Status nicht angegeben",
    "No quality checks recorded": "Keine Qualitätsprüfungen verzeichnet",
    "All {count} quality checks passed": "Alle {count} Qualitätsprüfungen bestanden",
    "{failed} of {count} quality checks not passed: {names}": (
        "{failed} von {count} Qualitätsprüfungen nicht bestanden: {names}"
    ),
    " [{low} to {high}]": " [{low} bis {high}]",
    "Against the study {days} days earlier:": "Gegenüber der Untersuchung {days} Tage zuvor:",
    "{measure} {then} to {now} {unit} ({moved})": "{measure} von {then} auf {now} {unit} ({moved})",
    "more than the smallest detectable change by simulated repeats": (
        "mehr als die kleinste nachweisbare Änderung nach simulierten Wiederholungen"
    ),
    "no more than the smallest detectable change by simulated repeats": (
        "nicht mehr als die kleinste nachweisbare Änderung nach simulierten Wiederholungen"
    ),
    "whether this is more than the error of measurement is not known": (
        "ob das mehr ist als der Messfehler, ist nicht bekannt"
    ),
    "Change": "Veränderung",
    # pictures
    "Patient": "Patient",
    "ID": "ID",
    "Born": "Geboren",
    "Sex": "Geschl.",
    "Study": "Studie",
    "Accession": "Auftrag",
    "Series": "Serie",
    "no value": "kein Wert",
    "not given: both measures must be compared with a reference table": (
        "nicht angegeben: beide Maße müssen mit einer Referenztabelle verglichen sein"
    ),
    "; expected overlap (Dice) {dice}": "; erwartete Überlappung (Dice) {dice}",
    "Series not described": "Serie nicht beschrieben",
    "{contrast}, {plane}, {region}, {slices} slices covering {coverage} mm, voxel {voxel} mm": (
        "{contrast}, {plane}, {region}, {slices} Schichten über {coverage} mm, Voxel {voxel} mm"
    ),
    "axial": "axial",
    "sagittal": "sagittal",
    "coronal": "koronar",
    "oblique": "schräg",
    "cervical": "zervikal",
    "thoracic": "thorakal",
    "thoracolumbar": "thorakolumbal",
    "lumbar": "lumbal",
    "sacral": "sakral",
    "whole spine": "ganze Wirbelsäule",
    "elsewhere": "andere Körperregion",
    "unknown": "unbekannt",
    "age, sex and height not known": "Alter, Geschlecht und Größe nicht bekannt",
    "age {age} y": "Alter {age} J.",
    "age not known": "Alter nicht bekannt",
    "sex {sex}": "Geschlecht {sex}",
    "sex not usable": "Geschlecht nicht verwendbar",
    "height {height} m": "Größe {height} m",
    "height not known": "Größe nicht bekannt",
    "none": "keine",
    "Definition {id} {version}, fat method {method}": "Definition {id} {version}, Fettmethode {method}",
    "Network {name} {version} ({provider}, {precision}), sha256 {sha256}": (
        "Netz {name} {version} ({provider}, {precision}), sha256 {sha256}"
    ),
    "Reference tables {norms}; policy {policy}; software {software}": (
        "Referenztabellen {norms}; Regelwerk {policy}; Software {software}"
    ),
    "5th, 50th and 95th percentile by age": "5., 50. und 95. Perzentil nach Alter",
    "Series {series}": "Serien {series}",
    "Files {files}": "Dateien {files}",
    "Slice {number} of {count}, {height} mm from the caudal end": (
        "Schicht {number} von {count}, {height} mm vom kaudalen Ende"
    ),
    "Station {station}, slice {number} of {count}, {height} mm from the caudal end": (
        "Station {station}, Schicht {number} von {count}, {height} mm vom kaudalen Ende"
    ),
    "Limits": "Grenzen",
    "Origin": "Herkunft",
    "Boundary rule: {rule}": "Grenzregel: {rule}",
    "Reviewed by: not reviewed. No action is recommended by this software.": (
        "Befundet durch: nicht befundet. Diese Software empfiehlt keine Maßnahme."
    ),
    "NOT ASSESSABLE: no measurement is reported": "NICHT BEURTEILBAR: es wird keine Messung mitgeteilt",
    "NOT ELIGIBLE: no measurement is reported": "NICHT GEEIGNET: es wird keine Messung mitgeteilt",
    "Reason": "Grund",
    "Examined": "Untersucht",
    "Measures": "Messwerte",
    "Left": "Links",
    "Right": "Rechts",
    "Total": "Gesamt",
    "Asymmetry": "Asymmetrie",
    "Asymmetry: (left - right) / (left + right). Sides are the patient's.": (
        "Asymmetrie: (links - rechts) / (links + rechts). Seiten des Patienten."
    ),
    "Asymmetry: (left - right) / (left + right).  {source}.": (
        "Asymmetrie: (links - rechts) / (links + rechts).  {source}."
    ),
    "Comparison with reference tables": "Vergleich mit Referenztabellen",
    "No comparison was made.": "Es wurde nicht verglichen.",
    "Person: {person}. Pattern: {pattern}.": "Person: {person}. Muster: {pattern}.",
    "Pattern: {pattern}.": "Muster: {pattern}.",
    "Flags": "Hinweise",
    "Quality": "Qualität",
    "Quality: {quality}.": "Qualität: {quality}.",
    "Along the spine": "Entlang der Wirbelsäule",
    "Along the spine, and beside the reference tables": (
        "Entlang der Wirbelsäule und neben den Referenztabellen"
    ),
    "Page {page}": "Seite {page}",
    "lean muscle right": "magerer Muskel rechts",
    "lean muscle left": "magerer Muskel links",
    "compartment right": "Kompartiment rechts",
    "compartment left": "Kompartiment links",
    "intermuscular fat right": "intermuskuläres Fett rechts",
    "intermuscular fat left": "intermuskuläres Fett links",
    "R, L: sides of the patient": "R, L: Seiten des Patienten",
    "No profile: nothing was measured": "Kein Profil: es wurde nichts gemessen",
    "5th to 95th percentile": "5. bis 95. Perzentil",
    "median": "Median",
    "Age (years)": "Alter (Jahre)",
    "this examination": "diese Untersuchung",
    "this examination with 95 % interval": "diese Untersuchung mit 95-%-Intervall",
    "lean right": "mager rechts",
    "lean left": "mager links",
    "IMAT right": "IMAT rechts",
    "IMAT left": "IMAT links",
    "R        cross-sectional area (cm²)        L": "R        Querschnittsfläche (cm²)        L",
    "Position from the caudal end (mm)": "Lage vom kaudalen Ende (mm)",
    # Sentences of the report.
    "Reason {code}: {text}": "Grund {code}: {text}",
    "Measured on {contrast}, {slices} slices, {coverage} mm, region: {region}.": (
        "Gemessen auf {contrast}, {slices} Schichten, {coverage} mm, Region: {region}."
    ),
    "Definition {id} {version}; fat method {method}; boundary rule: {rule}.": (
        "Definition {id} {version}; Fettmethode {method}; Grenzregel: {rule}."
    ),
    "Network {name} {version} ({provider}, {precision}), sha256 {sha256}; "
    "software {software}; policy {policy}.": (
        "Netz {name} {version} ({provider}, {precision}), sha256 {sha256}; Software {software}; "
        "Regelwerk {policy}."
    ),
    "Measured by {measured_by}; scores, flags and change over time were computed anew by {software}.": (
        "Gemessen von {measured_by}; Vergleiche, Hinweise und Verlauf wurden von {software} neu berechnet."
    ),
    "Sex {sex}: L {l}, M {m}, S {s}.": "Geschlecht {sex}: L {l}, M {m}, S {s}.",
    "Compared after adjustment for height or scanner: {value}.": (
        "Verglichen nach Anpassung an Größe oder Gerät: {value}."
    ),
    "The interval of z holds the sampling error of the table alone.": (
        "Das Intervall von z enthält nur den Stichprobenfehler der Tabelle."
    ),
    # What takes a result back.
    "This result is withdrawn. Its numbers, drawings and documents must not be used.": (
        "Dieses Ergebnis ist zurückgezogen. Zahlen, Zeichnungen und Dokumente dürfen nicht verwendet werden."
    ),
    "The muscles were not drawn rightly": "Die Muskeln sind nicht richtig gezeichnet",
    "The images are of another person": "Die Bilder sind von einer anderen Person",
    "The images are not fit for the measurement": "Die Bilder eignen sich nicht für die Messung",
    "Fault of the software or of its data": "Fehler der Software oder ihrer Daten",
    "Another reason": "Ein anderer Grund",
    # Quality checks.
    "check:edited": "von einer Person bearbeitet",
    "check:both_sides_found": "beide Seiten gefunden",
    "check:plausible_area": "Querschnitt plausibel",
    "check:plausible_symmetry": "Seitenverhältnis plausibel",
    "check:slices_with_muscle": "Schichten mit Muskel",
    "check:sides_by_patient_coordinates": "Seiten nach Patientenkoordinaten",
    "check:inside_field_of_view": "innerhalb des Bildfelds",
    "check:mirror_agreement": "Übereinstimmung mit dem Spiegelbild",
    "check:water_fat_swap": "Wasser und Fett nicht vertauscht",
    "check:stations": "Stationen",
    "check:dixon_pair": "Dixon-Paar",
    "check:nifti": "aus NIfTI",
    "check:age_agrees": "Alter stimmig",
    "check:identity_agrees": "Identität stimmig",
    "reason:station_missing_between": "Eine Station zwischen anderen konnte nicht gemessen werden.",
    "reason:stations": "Nicht alle Stationen wurden gemessen.",
    "reason:ambiguous_stations": (
        "Benachbarte Bildstapel zeigen dieselbe Stelle oder nennen verschiedene Regionen; sie wurden nicht "
        "zusammengesetzt."
    ),
    "reason:age_agrees": "PatientAge und das Alter nach den Datumsangaben widersprechen sich.",
    "reason:identity_agrees": "Die Bilder der Studie nennen nicht dieselbe Person.",
    "check:post_contrast": "ohne Kontrastmittel, oder es stört nicht",
    "check:enough_signal": "genug Signal",
    "check:no_signal_void": "keine Signalauslöschung",
    "check:fat_separated": "Fett vom Muskel getrennt",
    "check:looks_like_axial_spine": "sieht aus wie ein axiales Bild des Rückens",
    "check:predicted_dice": "vorhergesagte Überlappung (Dice)",
    # Reasons, in the words of docs/reference/errors.md.
    "reason:both_sides_found": "Muskel wurde nicht auf beiden Seiten gefunden.",
    "reason:plausible_area": (
        "Der mittlere Querschnitt einer Seite passt nicht zur paraspinalen Muskulatur Erwachsener."
    ),
    "reason:plausible_symmetry": "Eine Seite ist mehr als doppelt so groß wie die andere.",
    "reason:slices_with_muscle": "Muskel wurde in zu wenigen Schichten gefunden.",
    "reason:sides_by_patient_coordinates": "Die linke Seite liegt nicht links von der rechten.",
    "reason:inside_field_of_view": "Der Muskel ist vom Bildrand abgeschnitten.",
    "reason:mirror_agreement": "Das Netz widerspricht sich auf dem Spiegelbild.",
    "reason:water_fat_swap": "Im Dixon-Paar ist Fett nicht Fett oder Muskel nicht Wasser.",
    "reason:enough_signal": "Der Muskel hebt sich kaum vom Rauschen ab.",
    "reason:no_signal_void": "In oder zwischen den Muskeln fehlt Signal, wie neben Metall.",
    "reason:fat_separated": "Fett konnte nicht vom Muskel getrennt werden.",
    "reason:looks_like_axial_spine": "Die Zeichnung gleicht keiner auf einem axialen Bild des Rückens.",
    "reason:predicted_dice": "Die vorhergesagte Überlappung der Zeichnung liegt unter der Schwelle.",
    "reason:no_fat_reference": "Unterhautfett, das klar heller als Muskel ist, wurde nicht gefunden.",
    "reason:unknown_fat_method": "Die Fettmethode der Karte ist diesem Programm unbekannt.",
    "reason:no_images": "Hier sind keine Bilder in DICOM oder NIfTI.",
    "reason:no_stack": "Die Bilder bilden keinen Schichtstapel.",
    "reason:unreadable_series": "Die Kopfdaten der Bilder sind nicht zu verstehen.",
    "reason:io_error": "Die Datei konnte nicht gelesen werden.",
    "reason:empty_file": "Die Datei ist leer.",
    "reason:not_dicom": "Die Datei ist kein DICOM.",
    "reason:not_nifti": "Die Datei ist kein NIfTI.",
    "reason:unsupported_nifti": "NIfTI-2 und NIfTI in zwei Dateien werden nicht gelesen.",
    "reason:several_volumes": "Die Datei enthält mehrere Volumen.",
    "reason:standard_space": "Die Voxel liegen im Raum einer Vorlage, nicht des Patienten.",
    "reason:conflicting_orientation": "Die Datei sagt zweierlei über die Lage ihrer Voxel.",
    "reason:bad_sidecar": "Die JSON-Datei neben der NIfTI-Datei ist nicht zu verstehen.",
    "reason:truncated": "Die Datei endet mitten in ihren Kopfdaten.",
    "reason:bad_header": "Die Kopfdaten sind nicht lesbar.",
    "reason:no_identity": "Eine nötige UID fehlt.",
    "reason:bad_uid": "Eine UID ist fehlerhaft.",
    "reason:duplicate_instance": "Eine andere Datei enthält ein Bild derselben Identität.",
    "reason:not_an_image": "Das Objekt ist kein Bild.",
    "reason:no_pixels": "Das Objekt hat keine Pixel.",
    "reason:too_many_stacks": "Die Bilder der Serie bilden mehr Stapel, als eine Aufnahme hat.",
    "reason:too_large": "Bildmatrix oder Stapel sind zu groß.",
    "reason:no_geometry": "Lage, Orientierung oder Pixelabstand fehlen.",
    "reason:bad_geometry": "Lage, Orientierung oder Pixelabstand ergeben keinen Sinn.",
    "reason:sheared": "Die Achsen stehen nicht senkrecht aufeinander.",
    "reason:bad_spacing": "Der Pixelabstand ist nicht positiv.",
    "reason:bad_frame_count": "Die Zahl der Bilder weicht von der Beschreibung ab.",
    "reason:no_positions": "Der Stapel hat keine Schichtlagen.",
    "reason:duplicate_positions": "Schichtlagen nehmen nicht zu.",
    "reason:several_multiframe_objects": "Ein Stapel liegt in mehreren Multiframe-Objekten.",
    "reason:shape_mismatch": "Bilder eines Stapels haben verschiedene Größe.",
    "reason:truncated_pixels": "Die Datei endet mitten in ihren Pixeln.",
    "reason:undecodable_pixels": "Die Pixel können nicht dekodiert werden.",
    "reason:unsupported_pixel_format": "Nicht 8 oder 16 Bit, oder eine Modality-LUT.",
    "reason:unsupported_photometric": "Kein Graustufenbild.",
    "reason:edited": "Eine Person hat die Zeichnung bearbeitet.",
    "reason:edit_other_patient": "Sie nennt eine andere Person als die Bilder, auf denen sie liegt.",
    "reason:edit_other_study": "Sie nennt eine andere Studie als die Bilder, auf denen sie liegt.",
    "reason:edit_unreadable": "Sie kann nicht gelesen werden.",
    "reason:edit_not_binary": "Sie ist weder eine binäre Segmentierung noch eine Label Map.",
    "reason:edit_too_large": "Sie hat mehr oder größere Frames als jede Zeichnung auf unseren Bildern.",
    "reason:edit_other_frame_of_reference": "Sie hat eine andere Frame of Reference als die Bilder.",
    "reason:edit_other_grid": "Ihre Pixel sind nicht die der Bilder: Ort, Richtung oder Abstand sind anders.",
    "reason:edit_frame_twice": "Eine Schicht eines Segments ist doppelt vorhanden.",
    "reason:edit_segments_unknown": "Keines ihrer Segmente ist eines von uns.",
    "reason:edit_segment_contradicts": "Namen und Codes eines Segments widersprechen sich.",
    "reason:edit_segment_twice": "Zwei Segmente sind dasselbe Gewebe derselben Seite.",
    "reason:edit_segment_missing": "Ein Segment des intermuskulären Fetts fehlt.",
    "reason:edit_side_missing": "Auf einer Seite fehlt der Muskel.",
    "reason:edit_sides_swapped": "Links und rechts sind vertauscht.",
    "reason:edit_overlap": "Voxel liegen in zwei Segmenten zugleich.",
    "reason:edit_fat_not_separated": "In diesem Kontrast wird Fett nicht vom Muskel getrennt.",
    "reason:edit_unchanged": "Sie ist Voxel für Voxel das, was schon gilt.",
    "reason:edit_no_drawing": "Von diesen Bildern gibt es kein Ergebnis mit einer Zeichnung des Netzes.",
    "reason:edit_of_stations": "Eine Aufnahme in mehreren Stationen hat mehrere Segmentierungen.",
    "reason:edit_withdrawn": "Das Ergebnis ist aus einem anderen Grund als seiner Zeichnung zurückgezogen.",
    "reason:edit_other_images": "Die Bilder sind nicht die, auf denen gezeichnet wurde.",
    "reason:edit_overtaken": "Vor der Messung kam eine andere Version der Bilder.",
    "reason:edit_failed": "Sie konnte nicht gemessen werden; die Version sagt warum.",
    "reason:bad_rescale": "RescaleSlope oder RescaleIntercept ergeben unsinnige Werte.",
}
